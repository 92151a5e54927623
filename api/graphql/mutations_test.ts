import assert from "node:assert/strict";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { TransientError } from "../../shared/errors/errors.ts";
import { fillRun, openApi, type TestApi, user } from "../../tests/support/api.ts";
import { needing } from "../../tests/support/needs.ts";
import { startRedis } from "../../tests/support/redis.ts";

const START = `mutation ($input: StartRunInput) { startRun(input: $input) {
  __typename ... on StartRunSuccess { runId finished } ... on RunAlreadyActive { activeRunId } ... on Problem { message }
} }`;

Deno.test("startRun sends a request to the extractor, and a second one is refused until the run ends", async () => {
  await using pipeline = await openApi();
  const first = await pipeline.ask(START, { input: { requestedBy: "Ada" } });
  assert.equal(first.data.startRun.__typename, "StartRunSuccess");
  assert.equal(first.data.startRun.finished, false);
  const order = await claimed(pipeline.channel, "channel:start_run");
  assert.equal(order.run_id, first.data.startRun.runId);
  assert.equal(order.requested_by, "Ada");
  const event = await claimed(pipeline.channel, "channel:run_events");
  assert.deepEqual([event.type, event.run_id], ["run_requested", order.run_id]);
  const second = await pipeline.ask(START);
  assert.equal(second.data.startRun.__typename, "RunAlreadyActive");
  assert.match(second.data.startRun.message, /Wait until its extraction has ended/);
});

Deno.test("of several simultaneous startRun calls one succeeds, the others are refused", async () => {
  await using pipeline = await openApi();
  await assertOneStarts(pipeline);
});

needing("redis-server")(
  "of several simultaneous startRun calls one succeeds, also over Redis and with two APIs",
  async () => {
    await using server = await startRedis();
    await using one = await openChannel({ redisUrl: server.url, queuePath: "" });
    await using other = await openChannel({ redisUrl: server.url, queuePath: "" });
    await using first = await openApi({}, { channel: one });
    await using second = await openApi({}, { channel: other });
    await assertOneStarts(first, second);
  },
);

async function assertOneStarts(...apis: TestApi[]): Promise<void> {
  const requested = Array.from({ length: 6 }, (_, i) => apis[i % apis.length]!.ask(START));
  const names = (await Promise.all(requested)).map(({ data }) => data.startRun.__typename).sort();
  assert.deepEqual(names, [...Array(5).fill("RunAlreadyActive"), "StartRunSuccess"]);
  assert.equal((await apis[0]!.channel.mailbox("channel:start_run").state()).depth, 1);
}

Deno.test("startRun with wait answers when the run has ended", async () => {
  await using pipeline = await openApi();
  const requested = pipeline.ask(START, { input: { wait: true } });
  const order = await claimed(pipeline.channel, "channel:start_run");
  const tell = (name: string, fields: object) =>
    pipeline.channel.publish(
      compose(
        "channel:run_events",
        `${order.run_id}/${name}`,
        { run_id: order.run_id, actor: "courier", ...fields } as never,
      ),
    );
  await tell("started", { type: "phase_started", phase: "EXTRACTING", attempt: 1 });
  await tell("done", { type: "phase_completed", phase: "DELIVERING", detail: {} });
  const { data } = await requested;
  assert.deepEqual(data.startRun, { __typename: "StartRunSuccess", runId: order.run_id, finished: true });
});

Deno.test("startRun with wait answers after its timeout, while the run continues", async () => {
  await using pipeline = await openApi();
  const { data } = await pipeline.ask(START, { input: { wait: true, timeoutSeconds: 1 } });
  assert.equal(data.startRun.finished, false);
});

Deno.test("a client that disconnects ends the wait, not the run", async () => {
  await using pipeline = await openApi();
  const client = new AbortController();
  const requested = pipeline.send("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: START, variables: { input: { wait: true } } }),
    signal: client.signal,
  }).then((answer) => answer.body?.cancel(), () => {});
  await claimed(pipeline.channel, "channel:start_run");
  client.abort();
  await requested;
  assert.equal((await pipeline.channel.mailbox("channel:start_run").state()).depth, 1);
});

Deno.test("cancelRun reaches the actor that works on the run, and finds only active runs", async () => {
  await using pipeline = await openApi();
  const cancel = async (runId: string) =>
    (await pipeline.ask(
      "mutation ($runId: ID!) { cancelRun(runId: $runId) { __typename ... on Problem { message } } }",
      { runId },
    ))
      .data.cancelRun;
  const runId = await fillRun(pipeline.store);
  assert.deepEqual(await cancel(runId), { __typename: "CancelRunSuccess" });
  const event = await claimed(pipeline.channel, "channel:run_events");
  assert.deepEqual([event.type, event.run_id, event.requested_by], ["run_cancelled", runId, "anonymous"]);
  await pipeline.store.write((db) =>
    db.run("UPDATE etl_runs SET status = 'COMPLETED' WHERE run_id = ?", runId)
  );
  assert.equal((await cancel(runId)).__typename, "RunNotActive");
  assert.equal((await cancel(newRunId())).__typename, "RunNotFound");
});

Deno.test("redeliverRun sends the courier a new order each time, only for loaded runs", async () => {
  await using pipeline = await openApi();
  const redeliver = async (runId: string) =>
    (await pipeline.ask("mutation ($runId: ID!) { redeliverRun(runId: $runId) { __typename } }", { runId }))
      .data
      .redeliverRun.__typename;
  const runId = await fillRun(pipeline.store);
  assert.equal(await redeliver(runId), "RedeliverRunSuccess");
  assert.equal(await redeliver(runId), "RedeliverRunSuccess");
  assert.equal((await pipeline.channel.mailbox("channel:deliver").state()).depth, 2);
  assert.equal((await claimed(pipeline.channel, "channel:deliver")).run_id, runId);
  assert.equal(await redeliver(newRunId()), "RunNotFound");
  await pipeline.store.write((db) => db.run("UPDATE etl_runs SET loaded_at = NULL"));
  assert.equal(await redeliver(runId), "RunNotLoaded");
});

/** The dead letter of a line that isn't JSON. */
const RAW_LINE = { raw_line: "no json", error_reason: "Invalid JSON: unexpected character" };

const REPLAY = `mutation ($input: ReplayInvalidRecordsInput!) { replayInvalidRecords(input: $input) {
  __typename
  ... on ReplayDryRun { verdicts { recordId valid problems record } }
  ... on ReplayInvalidRecordsSuccess { runId correctionOf { runId } verdicts { valid } }
  ... on InvalidPatch { path }
  ... on Problem { message }
} }`;

Deno.test("replayInvalidRecords with dryRun returns the verdict of the rules, masked, and changes nothing", async () => {
  await using pipeline = await openApi();
  const runId = await fillRun(pipeline.store, {
    invalid: [{ ...user(1), age: 70, error_reason: "age: 70 is greater than 65" }],
  });
  const recordId = await firstInvalid(pipeline);
  const dryRun = async (patch: object) =>
    (await pipeline.ask(REPLAY, { input: { runId, dryRun: true, patches: [{ recordId, patch }] } })).data
      .replayInvalidRecords;
  const good = await dryRun({ age: 60, password: "newsecret" });
  assert.equal(good.__typename, "ReplayDryRun");
  assert.deepEqual([good.verdicts[0].valid, good.verdicts[0].problems, good.verdicts[0].record.age], [
    true,
    [],
    60,
  ]);
  assert.equal(good.verdicts[0].record.password, "***");
  const bad = await dryRun({ email: null });
  assert.deepEqual([bad.verdicts[0].valid, bad.verdicts[0].problems], [false, [
    "email: missing",
    "age: 70 is greater than 65",
  ]]);
  assert.equal((await pipeline.channel.mailbox("channel:start_run").state()).depth, 0);
  assert.deepEqual(pipeline.audit, []);
});

Deno.test("replayInvalidRecords requests a correction run that names the dead-letter file, its content and the lines", async () => {
  await using pipeline = await openApi();
  const runId = await fillRun(pipeline.store, {
    invalid: [{ ...user(1), age: 70 }, RAW_LINE, { ...user(3), age: 80 }],
  });
  const ids = await invalidIds(pipeline);
  const { data, errors } = await pipeline.ask(REPLAY, {
    input: {
      runId,
      requestedBy: "Ada",
      patches: [{ recordId: ids[2], patch: { age: 40 } }, {
        recordId: ids[1],
        text: JSON.stringify(user(2)),
      }],
    },
  });
  assert.equal(errors, undefined);
  assert.equal(data.replayInvalidRecords.__typename, "ReplayInvalidRecordsSuccess");
  assert.deepEqual(data.replayInvalidRecords.verdicts, [{ valid: true }, { valid: true }]);
  assert.deepEqual(data.replayInvalidRecords.correctionOf, { runId });
  const order = await claimed(pipeline.channel, "channel:start_run");
  assert.equal(order.run_id, data.replayInvalidRecords.runId);
  assert.equal(order.correction.of, runId);
  assert.equal(order.correction.dlq_file, "data/invalid.jsonl");
  assert.match(order.correction.dlq_sha256, /^[0-9a-f]{64}$/);
  assert.deepEqual(order.correction.patches, [
    { line: 3, merge: { age: 40 } },
    { line: 2, text: JSON.stringify(user(2)) },
  ]);
  assert.deepEqual(
    pipeline.audit.map(({ action, outcome, about }) => [action, outcome, about.correctionOf]),
    [
      ["replayInvalidRecords", "StartRunSuccess", runId],
    ],
  );
});

Deno.test("an unusable correction is named, and nothing is sent", async (t) => {
  await using pipeline = await openApi();
  const other = await fillRun(pipeline.store, { invalid: [{ ...user(9), age: 70 }] });
  const runId = await fillRun(pipeline.store, { invalid: [{ ...user(1), age: 70 }, RAW_LINE] });
  const [foreign, object, text] = await invalidIds(pipeline);
  for (
    const [patches, path, says] of [
      [[], "patches", /wanted 1 to 1000/],
      [[{ recordId: foreign, patch: {} }], "patches.0.recordId", /none of the run's/],
      [[{ recordId: "x", patch: {} }], "patches.0.recordId", /none of the run's/],
      [
        [{ recordId: object, patch: { age: 1 } }, { recordId: object, patch: { age: 2 } }],
        "patches.1.recordId",
        /twice/,
      ],
      [[{ recordId: object, patch: { password: "***" } }], "patches.0.patch", /placeholder/],
      [[{ recordId: object, patch: [1] }], "patches.0.patch", /no JSON object/],
      [[{ recordId: object, patch: {}, text: "{}" }], "patches.0", /both/],
      [[{ recordId: text, patch: { age: 20 } }], "patches.0.patch", /whole new text/],
    ] as const
  ) {
    await t.step(String(says), async () => {
      const { data, errors } = await pipeline.ask(REPLAY, { input: { runId, patches } });
      assert.equal(errors, undefined);
      assert.deepEqual([data.replayInvalidRecords.__typename, data.replayInvalidRecords.path], [
        "InvalidPatch",
        path,
      ]);
      assert.match(data.replayInvalidRecords.message, says);
    });
  }
  await t.step("a number that would lose digits", async () => {
    const { errors } = await pipeline.ask(
      `mutation { replayInvalidRecords(input: { runId: "${runId}", patches: [{ recordId: "${object}", patch: { id: 9007199254740993 } }] }) { __typename } }`,
    );
    assert.match(errors?.[0]?.message ?? "", /more digits than can be kept/);
  });
  for (
    const [value, says] of [
      ["1e400", /more digits than can be kept/],
      [`${"[".repeat(5000)}${"]".repeat(5000)}`, /more than 1000 levels/],
    ] as const
  ) {
    await t.step(`a JSON value: ${says}`, async () => {
      const variables =
        `{"input":{"runId":"${runId}","patches":[{"recordId":"${object}","patch":{"id":${value}}}]}}`;
      const body = `{"query":${JSON.stringify(REPLAY)},"variables":${variables}}`;
      const answer = await pipeline.send("/graphql", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      assert.notEqual(answer.status, 500);
      assert.match(await answer.text(), says);
    });
  }
  await t.step("a run that doesn't exist", async () => {
    const { data } = await pipeline.ask(REPLAY, {
      input: { runId: newRunId(), patches: [{ recordId: object }] },
    });
    assert.equal(data.replayInvalidRecords.__typename, "RunNotFound");
  });
  assert.notEqual(other, runId);
  assert.equal((await pipeline.channel.mailbox("channel:start_run").state()).depth, 0);
});

Deno.test("dead letters of all channels are listed newest first, without personal data, and can be replayed or discarded", async () => {
  await using pipeline = await openApi();
  const body = JSON.stringify({
    run_id: "r",
    correction: {
      patches: [{ line: 1, merge: { password: "geheim", age: 20 } }, { line: 2, text: "geheim" }],
    },
  });
  for (let i = 0; i < 3; i++) {
    for (const to of ["channel:start_run", "channel:deliver"]) {
      await pipeline.channel.publish({ to, id: `${to}/${i}`, body: i === 2 ? "no json: geheim" : body });
      const claim = await pipeline.channel.claim(to, { leaseMs: 1000, signal: AbortSignal.timeout(60_000) });
      await claim!.bury(`reason ${i}`);
    }
  }
  const ids: string[] = [];
  for (let after: string | null = null, more = true; more;) {
    const answer: Awaited<ReturnType<TestApi["ask"]>> = await pipeline.ask(
      "query ($after: String) { deadLetters(first: 4, after: $after) { nodes { id channel reason attempts body } pageInfo { hasNextPage endCursor } } }",
      { after },
    );
    assert.equal(answer.errors, undefined);
    const { nodes, pageInfo } = answer.data.deadLetters;
    ids.push(...nodes.map(({ id }: { id: string }) => id));
    assert.ok(!JSON.stringify(nodes).includes("geheim"), JSON.stringify(nodes));
    more = pageInfo.hasNextPage;
    after = pageInfo.endCursor;
  }
  assert.equal(new Set(ids).size, 6);
  const one = await pipeline.ask(
    '{ deadLetters(channel: "channel:deliver", first: 1) { nodes { id reason } } }',
  );
  assert.deepEqual(one.data.deadLetters.nodes, [{
    id: "channel:deliver/channel:deliver/2",
    reason: "reason 2",
  }]);
  const steer = async (mutation: string, id: string) =>
    (await pipeline.ask(`mutation ($id: ID!) { ${mutation}(id: $id) { __typename } }`, { id })).data[mutation]
      .__typename;
  assert.equal(await steer("replayDeadLetter", ids[0]!), "ReplayDeadLetterSuccess");
  assert.equal(await steer("replayDeadLetter", ids[0]!), "DeadLetterNotFound");
  assert.equal(await steer("discardDeadLetter", ids[1]!), "DiscardDeadLetterSuccess");
  assert.equal(await steer("discardDeadLetter", "channel:else/1"), "DeadLetterNotFound");
  const states = await Promise.all(
    ["channel:start_run", "channel:deliver"].map((name) => pipeline.channel.mailbox(name).state()),
  );
  assert.deepEqual([
    states.reduce((n, { dead }) => n + dead, 0),
    states.reduce((n, { depth }) => n + depth, 0),
  ], [4, 1]);
});

Deno.test("an actor is paused and resumed", async () => {
  await using pipeline = await openApi();
  const steer = async (mutation: "pauseActor" | "resumeActor", name: string) => {
    const success = mutation === "pauseActor" ? "PauseActorSuccess" : "ResumeActorSuccess";
    const { data } = await pipeline.ask(
      `mutation ($name: String!) { ${mutation}(name: $name) { __typename ... on ${success} { actor { name mailbox { paused } } } } }`,
      { name },
    );
    return data[mutation];
  };
  assert.deepEqual(await steer("pauseActor", "saver"), {
    __typename: "PauseActorSuccess",
    actor: { name: "saver", mailbox: { paused: true } },
  });
  assert.equal((await pipeline.channel.mailbox("channel:phase2_complete").state()).paused, true);
  assert.equal((await steer("resumeActor", "saver")).actor.mailbox.paused, false);
  assert.equal((await steer("pauseActor", "nobody")).__typename, "ActorNotFound");
});

Deno.test("the audit log records every mutation: who, what, which run, and the outcome", async () => {
  await using pipeline = await openApi({ API_TOKEN: "a-token-that-is-long" });
  const headers = { authorization: "Bearer a-token-that-is-long" };
  const { data } = await pipeline.ask(START, {}, headers);
  await pipeline.ask('mutation { pauseActor(name: "nobody") { __typename } }', {}, headers);
  assert.deepEqual(pipeline.audit.map(({ at: _, ...entry }) => entry), [
    {
      who: pipeline.audit[0]!.who,
      from: undefined,
      action: "startRun",
      about: { requestedBy: "api", pipeline: "users", runId: data.startRun.runId },
      outcome: "StartRunSuccess",
    },
    {
      who: pipeline.audit[0]!.who,
      from: undefined,
      action: "pauseActor",
      about: { actor: "nobody" },
      outcome: "ActorNotFound",
    },
  ]);
  assert.match(pipeline.audit[0]!.who, /^token:[0-9a-f]{8}$/);
});

Deno.test("an unreachable channel is answered as a problem", async () => {
  await using open = await openApi();
  const away = new Proxy(open.channel, {
    get: () => () => {
      throw new TransientError("Cannot reach Redis at redis:6379. It will be retried.");
    },
  });
  await using pipeline = await openApi({}, { channel: away });
  const { data } = await pipeline.ask(START);
  assert.equal(data.startRun.__typename, "ServiceUnavailable");
  const { errors } = await pipeline.ask("{ actors { name } }");
  assert.equal(errors?.[0]?.extensions?.code, "SERVICE_UNAVAILABLE");
});

// deno-lint-ignore no-explicit-any -- tests check the shape of messages
async function claimed(channel: Channel, mailbox: string): Promise<any> {
  const claim = await channel.claim(mailbox, { leaseMs: 10_000, signal: AbortSignal.timeout(60_000) });
  assert.ok(claim !== undefined, `nothing on ${mailbox}`);
  return JSON.parse(claim.body);
}

async function invalidIds(pipeline: TestApi): Promise<string[]> {
  const { data } = await pipeline.ask("{ invalidRecords { nodes { id } } }");
  return data.invalidRecords.nodes.map(({ id }: { id: string }) => id);
}

async function firstInvalid(pipeline: TestApi): Promise<string> {
  return (await invalidIds(pipeline))[0]!;
}
