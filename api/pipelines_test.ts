import assert from "node:assert/strict";
import * as z from "zod";
import { newRunId } from "../shared/contracts/ids.ts";
import { env, pipeline } from "../shared/pipeline/mod.ts";
import { planOf } from "../shared/pipeline/plan.ts";
import { usersPlan } from "../tests/support/users.ts";
import { openSqlite } from "../shared/store/sqlite/open.ts";
import { linesOf } from "../tests/support/store.ts";
import { fillRun, openApi } from "../tests/support/api.ts";
import { shownOf } from "../shared/store/shown.ts";

const things = planOf(pipeline({
  name: "things",
  schedule: env("THINGS_SCHEDULE", "0 4 * * *"),
  record: z.object({ sku: z.string(), price: z.number().min(0), owner: z.unknown().optional() }),
  key: "sku",
  source: { url: "https://example.com/things", paging: { by: "none" } },
  mask: ["owner"],
  load: "upsert",
}));

const pipelines = {
  plans: new Map([[things.name, things], [usersPlan.name, usersPlan]]),
  broken: new Map([["orders", ["orders.ts: key: wanted a path of the record"]]]),
};

/** Opens an API over a run of `users` and one of `things`. */
async function opened() {
  await using made = new AsyncDisposableStack();
  const api = made.use(await openApi({ TZ: "Europe/Madrid" }, { pipelines }));
  const user = await fillRun(api.store, { valid: [{ id: 1 }], invalid: [{ id: 2, age: 70 }] });
  const thing = newRunId();
  {
    await using store = await openSqlite(api.path, { pipelines: [shownOf(things)] });
    const run = { runId: thing, pipeline: "things", at: new Date().toISOString() };
    const files = {
      raw: ['{"sku":"a","owner":"Ada","price":-1}'],
      processed: [],
      invalid: ['{"sku":"a","owner":"Ada","price":-1,"error_reason":"price: -1 is less than 0"}'],
    };
    await store.announceRun(run);
    for (const kind of ["raw", "processed", "invalid"] as const) {
      const file = { runId: thing, pipeline: "things", kind, name: `data/${kind}_things/a.jsonl` };
      await store.loadFile(file, linesOf(files[kind]));
    }
    await store.markLoaded({
      ...run,
      rawFile: "data/raw_things/a.jsonl",
      processedFile: "data/processed_things/a.jsonl",
      dlqFile: "data/dlq/invalid_things_a.jsonl",
      validCount: 0,
      invalidCount: 1,
    });
  }
  const open = made.move();
  return { ...api, user, thing, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}

Deno.test("pipelines are listed with rules, schedule, tables and last run, unusable ones with the reason", async () => {
  await using api = await opened();
  const { data } = await api.ask(`{ pipelines {
    name problems source schedule nextRun key load masked added tables runs lastRun { runId pipeline }
    fields { field kind wanted minimum } rules
  } }`);
  const [orders, thing, users] = data.pipelines;
  assert.deepEqual([orders.name, orders.problems, orders.lastRun], ["orders", [
    "orders.ts: key: wanted a path of the record",
  ], null]);
  const { nextRun, rules, ...rest } = thing;
  assert.match(nextRun, /T0[23]:00:00\.000Z$/, "four o'clock in Madrid");
  assert.deepEqual(rules.required, ["sku", "price"]);
  assert.equal(rules.additionalProperties, undefined, "other members pass through");
  assert.deepEqual(rest, {
    name: "things",
    problems: [],
    source: "https://example.com/things",
    schedule: "0 4 * * *",
    key: "sku",
    load: "upsert",
    masked: ["owner"],
    added: [],
    tables: ["raw_things", "processed_things", "invalid_things", "things", "things_changes"],
    runs: 1,
    lastRun: { runId: api.thing, pipeline: "things" },
    fields: [
      { field: "sku", kind: "string", wanted: "a string", minimum: null },
      { field: "price", kind: "number", wanted: "a number from 0", minimum: 0 },
    ],
  });
  assert.deepEqual([users.name, users.added, users.lastRun.runId], ["users", ["department_code"], api.user]);
});

Deno.test("runs and records are those of the requested pipeline", async () => {
  await using api = await opened();
  const { data } = await api.ask(
    `query ($thing: ID!) {
    all: etlRuns { runId } things: etlRuns(pipeline: "things") { runId }
    page: etlRunsConnection(filter: { pipeline: "users" }) { totalCount }
    raw: records(pipeline: "things", stage: RAW) { totalCount edges { node { data run { pipeline } } } }
    usersRaw: records(stage: RAW) { totalCount } table: records(table: RAW_USERS) { totalCount }
    bad: invalidRecords(runId: $thing) { edges { node { id errorReason data } } }
  }`,
    { thing: api.thing },
  );
  assert.deepEqual(
    new Set(data.all.map((run: { runId: string }) => run.runId)),
    new Set([api.user, api.thing]),
  );
  assert.deepEqual(data.things, [{ runId: api.thing }]);
  assert.equal(data.page.totalCount, 1);
  assert.deepEqual(data.raw.edges, [
    { node: { data: { sku: "a", owner: "***", price: -1 }, run: { pipeline: "things" } } },
  ]);
  assert.deepEqual([data.usersRaw.totalCount, data.table.totalCount], [2, 2]);
  assert.deepEqual(data.bad.edges[0].node.errorReason, "price: -1 is less than 0");
  const { errors } = await api.ask('{ records(pipeline: "nothing", stage: RAW) { totalCount } }');
  assert.match(errors![0]!.message, /no pipeline "nothing", wanted one of orders, things, users/);
});

Deno.test("an invalid record is judged by the rules of its own pipeline, and its correction is a run of that pipeline", async () => {
  await using api = await opened();
  const { data } = await api.ask(
    "query ($run: ID!) { invalidRecords(runId: $run) { edges { node { id } } } }",
    { run: api.thing },
  );
  const recordId = data.invalidRecords.edges[0].node.id;
  const replay = async (price: number, dryRun: boolean) =>
    (await api.ask(
      `mutation ($input: ReplayInvalidRecordsInput!) { replayInvalidRecords(input: $input) {
        __typename ... on ReplayDryRun { verdicts { valid problems } }
      } }`,
      { input: { runId: api.thing, patches: [{ recordId, patch: { price } }], dryRun } },
    )).data.replayInvalidRecords;
  assert.deepEqual((await replay(-2, true)).verdicts, [{
    valid: false,
    problems: ["price: -2 is less than 0"],
  }]);
  assert.deepEqual((await replay(2, true)).verdicts, [{ valid: true, problems: [] }]);
  assert.equal((await replay(2, false)).__typename, "ReplayInvalidRecordsSuccess");
  const claim = await api.channel.claim("channel:start_run", {
    leaseMs: 1000,
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(JSON.parse(claim!.body).pipeline, "things");
});

Deno.test("a run is requested by its pipeline: one at a time for each, and none for a broken one", async () => {
  await using api = await opened();
  const start = (input: string) => api.ask(`mutation { startRun(input: ${input}) { __typename } }`);
  assert.equal((await start('{ pipeline: "things" }')).data.startRun.__typename, "StartRunSuccess");
  assert.equal((await start("{}")).data.startRun.__typename, "StartRunSuccess");
  assert.equal((await start('{ pipeline: "things" }')).data.startRun.__typename, "RunAlreadyActive");
  assert.equal((await start('{ pipeline: "users" }')).data.startRun.__typename, "RunAlreadyActive");
  assert.match(
    (await start('{ pipeline: "orders" }')).errors![0]!.message,
    /"orders", its definition can't be used: orders\.ts: key/,
  );
  assert.match((await start('{ pipeline: "none" }')).errors![0]!.message, /There is no pipeline "none"/);
});

Deno.test("no run is requested for a pipeline that was defined after the API started, and the answer says so", async () => {
  await using made = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir();
  made.defer(() => Deno.remove(dir, { recursive: true }));
  const api = made.use(await openApi({}, { pipelines: { ...pipelines, dir } }));
  await Deno.writeTextFile(`${dir}/since.ts`, "");
  const says =
    /since\.ts: the definition was written after the API had read them all; start the services again/;
  const ask = async () =>
    (await api.ask(`mutation { startRun(input: { pipeline: "since" }) { __typename } }`)).errors![0]!.message;
  assert.match(await ask(), says);
  {
    // another service has restarted and created its tables
    const since = planOf(pipeline({ ...things.definition, name: "since" }));
    await using _store = await openSqlite(api.path, { pipelines: [shownOf(since)] });
  }
  assert.match(await ask(), says);
});

Deno.test("no run is requested for a pipeline whose definition was removed", async () => {
  await using api = await opened();
  {
    const gone = planOf(pipeline({ ...things.definition, name: "gone" }));
    await using _store = await openSqlite(api.path, { pipelines: [shownOf(gone)] });
  }
  const { errors } = await api.ask('mutation { startRun(input: { pipeline: "gone" }) { __typename } }');
  assert.match(
    errors![0]!.message,
    /"gone", its definition can't be used: gone\.ts: the definition was removed/,
  );
});

Deno.test("REST, the SQL console and the metrics know every pipeline's tables", async () => {
  await using api = await opened();
  const json = async (path: string) => {
    const answer = await api.send(path);
    return [answer.status, await answer.json()];
  };
  const [status, rows] = await json("/data/raw_things");
  assert.equal(status, 200);
  assert.deepEqual([rows[0].sku, rows[0].owner], ["a", "***"]);
  assert.deepEqual(await json("/data/nothing"), [400, {
    detail: "TableName not Allowed. Valid names: raw_orders, processed_orders, invalid_orders, " +
      "raw_things, processed_things, invalid_things, raw_users, processed_users, invalid_users, " +
      "things, things_changes, users, users_changes.",
  }]);
  assert.deepEqual(
    (await json("/etl_runs?pipeline=things"))[1].map((run: { invalid_count: number }) => run.invalid_count),
    [1],
  );
  assert.equal((await json("/etl_runs"))[1].length, 2);
  assert.equal((await json("/etl_runs?pipeline=none"))[0], 400);
  const answer = await api.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "SELECT sku, owner, price FROM raw_things" }),
  });
  assert.deepEqual((await answer.json()).rows, [{ sku: "a", owner: "***", price: -1 }]);
  const base = await api.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "SELECT json FROM raw_records$things" }),
  });
  assert.equal(base.status, 400);
  const metrics = await (await api.send("/metrics")).text();
  assert.match(metrics, /etl_records\{table="raw_things",pipeline="things"\} 1/);
});
