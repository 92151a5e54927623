import assert from "node:assert/strict";
import * as z from "zod";
import { runActor } from "../../shared/actor/run_actor.ts";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { pipeline } from "../../shared/pipeline/mod.ts";
import { planOf } from "../../shared/pipeline/plan.ts";
import { gatekeeper } from "../../saver/gatekeeper.ts";
import { RunEvent } from "../../shared/contracts/messages.ts";
import { fillRun, openApi, type TestApi, user } from "../../tests/support/api.ts";

const DECIDE = (what: "releaseRun" | "rejectRun") =>
  `mutation ($runId: ID!) { ${what}(runId: $runId) { __typename ... on Problem { message } } }`;

/** Holds a run as the saver does. */
async function held({ store }: TestApi, comparedWith: string | null = null): Promise<string> {
  const runId = newRunId();
  await store.announceRun({ runId, pipeline: "users", at: new Date().toISOString() });
  const sha256 = "0".repeat(64);
  await store.hold({
    run_id: runId,
    pipeline: "users",
    reason: "Held before its load: 1 of its 1 records are invalid.",
    message: JSON.stringify({
      raw_file: "data/raw_users/a.jsonl",
      processed_file: "data/processed_users/a.jsonl",
      dlq_file: "data/dlq/a.jsonl",
      valid_count: 0,
      invalid_count: 1,
      run_id: runId,
      pipeline: "users",
      raw_sha256: sha256,
      processed_sha256: sha256,
      dlq_sha256: sha256,
    }),
    samples: [JSON.stringify({ ...user(1), error_reason: "age: 70 is greater than 65" }), "no JSON"],
    compared_with: comparedWith,
  }, () => Promise.resolve());
  await store.record([RunEvent.parse({
    id: `${runId}/held`,
    published_at: new Date().toISOString(),
    run_id: runId,
    actor: "saver",
    type: "run_held",
    phase: "LOADING",
    reason: "too many",
    detail: { valid: 0, invalid: 1 },
  })]);
  return runId;
}

/** Runs a gatekeeper until it is disposed of. */
function decider({ store, channel }: TestApi): AsyncDisposable {
  const stop = new AbortController();
  const working = runActor(gatekeeper({ store }), channel, { signal: stop.signal });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await working;
    },
  };
}

Deno.test("a held run shows its reason, what it was compared with, and some invalid records, masked", async () => {
  await using api = await openApi();
  const before = await fillRun(api.store, { valid: [user(1), user(2)] });
  const runId = await held(api, before);
  const { data } = await api.ask(
    `query ($runId: ID!) { etlRun(runId: $runId) { status validCount
      hold { reason validCount invalidCount samples decision comparedWith { runId validCount } } } }`,
    { runId },
  );
  const { hold, ...run } = data.etlRun;
  assert.deepEqual(run, { status: "HELD", validCount: null });
  assert.deepEqual([hold.validCount, hold.invalidCount, hold.decision], [0, 1, null]);
  assert.deepEqual(hold.comparedWith, { runId: before, validCount: 2 });
  assert.equal(hold.samples[0].password, "***");
  assert.equal(hold.samples[0].error_reason, "age: 70 is greater than 65");
  assert.deepEqual(hold.samples[1], { raw_line: "***" });
});

Deno.test("a held run is released or rejected once; a repeat succeeds, the opposite decision returns who decided, and all are audited", async () => {
  await using api = await openApi();
  await using _gatekeeper = decider(api);
  const [first, second] = [await held(api), await held(api)];
  const decide = async (what: "releaseRun" | "rejectRun", runId: string) =>
    (await api.ask(DECIDE(what), { runId })).data[what];
  assert.equal((await decide("releaseRun", first)).__typename, "ReleaseRunSuccess");
  assert.equal((await decide("releaseRun", first)).__typename, "ReleaseRunSuccess");
  const late = await decide("rejectRun", first);
  assert.deepEqual([late.__typename, late.message], [
    "RunNotHeld",
    `Run ${first} was released by anonymous. There is nothing to decide.`,
  ]);
  assert.equal((await decide("rejectRun", second)).__typename, "RejectRunSuccess");
  assert.equal((await decide("rejectRun", newRunId())).__typename, "RunNotFound");
  assert.equal((await decide("rejectRun", await fillRun(api.store))).__typename, "RunNotHeld");
  assert.deepEqual(
    api.audit.map(({ action, outcome }) => `${action} ${outcome}`),
    [
      "releaseRun ReleaseRunSuccess",
      "releaseRun ReleaseRunSuccess",
      "rejectRun RunNotHeld",
      "rejectRun RejectRunSuccess",
      "rejectRun RunNotFound",
      "rejectRun RunNotHeld",
    ],
  );
  const { hold } = (await api.ask(
    `query ($runId: ID!) { etlRun(runId: $runId) { hold { decision decidedBy samples } } }`,
    { runId: second },
  )).data.etlRun;
  assert.deepEqual(hold, { decision: "REJECTED", decidedBy: "anonymous", samples: [] });
});

Deno.test("without a gatekeeper the first decision waits, and the second is refused", async () => {
  await using api = await openApi();
  const runId = await held(api);
  const [one, other] = await Promise.all([
    api.ask(DECIDE("releaseRun"), { runId }),
    api.ask(DECIDE("rejectRun"), { runId }),
  ]);
  const names = [one.data.releaseRun.__typename, other.data.rejectRun.__typename];
  assert.equal(names.filter((name) => name === "RunNotHeld").length, 1, `${names}`);
  assert.equal((await api.channel.mailbox("channel:decision").state()).depth, 1);
});

Deno.test("while a run is held one request waits, and further ones get the held run as answer", async () => {
  await using api = await openApi();
  const runId = await held(api);
  const start = () =>
    api.ask("mutation { startRun { __typename ... on RunAlreadyActive { activeRunId message } } }");
  assert.equal((await start()).data.startRun.__typename, "StartRunSuccess");
  const { data: { startRun } } = await start();
  assert.deepEqual([startRun.__typename, startRun.activeRunId], ["RunAlreadyActive", runId]);
  assert.match(startRun.message, /is held before its load\. Release or reject it/);
});

Deno.test("a pipeline is rewound to a time or number as its records have it; one that reads all records can't be rewound", async () => {
  const changes = (name: string, from: string | number) =>
    planOf(pipeline({
      name,
      record: z.object({ id: z.string(), at: typeof from === "number" ? z.number() : z.string() }),
      key: "id",
      source: {
        url: "https://example.com/",
        paging: { by: "none" },
        since: { field: "at", from, send: { since: "{}" } },
      },
    }));
  await using channel = await openTemporaryChannel();
  const plans = new Map(
    [changes("timed", "2026-01-01T00:00:00Z"), changes("counted", 0)].map((p) => [p.name, p]),
  );
  const everything = planOf(pipeline({
    name: "everything",
    record: z.object({ id: z.string() }),
    key: "id",
    source: { url: "https://example.com/", paging: { by: "none" } },
  }));
  plans.set("everything", everything);
  await using api = await openApi({}, { channel, pipelines: { plans, broken: new Map() } });
  const rewind = (pipeline: string, since: string) =>
    api.ask(
      "mutation ($p: String, $s: String) { startRun(input: { pipeline: $p, since: $s }) { __typename } }",
      {
        p: pipeline,
        s: since,
      },
    );
  assert.match(
    (await rewind("timed", "yesterday")).errors![0]!.message,
    /wanted a time such as 2026-01-01T00:00:00Z/,
  );
  assert.match((await rewind("counted", "x")).errors![0]!.message, /wanted a number/);
  assert.match((await rewind("everything", "1")).errors![0]!.message, /its definition has no since/);
  assert.equal((await rewind("timed", "2026-02-01")).data.startRun.__typename, "StartRunSuccess");
  assert.equal((await rewind("counted", "17")).data.startRun.__typename, "StartRunSuccess");
  const requested: unknown[] = [];
  for (const _ of [1, 2]) {
    const claim = await channel.claim("channel:start_run", {
      leaseMs: 5_000,
      signal: AbortSignal.timeout(60_000),
    });
    requested.push(JSON.parse(claim!.body).since);
    await claim!.complete();
  }
  assert.deepEqual(requested, ["2026-02-01", 17]);
  assert.deepEqual(api.audit.map(({ about }) => about.since), ["2026-02-01", 17]);
});
