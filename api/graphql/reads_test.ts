import assert from "node:assert/strict";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { openSqliteToRead } from "../../shared/store/sqlite/open.ts";
import { fillRun, openApi, user } from "../../tests/support/api.ts";
import { encodeCursor } from "./connection.ts";
import type { ReadStore } from "../../shared/store/store.ts";

Deno.test("runs are a plain list, newest first", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  await fillRun(pipeline.store, { valid: [user(1), user(2)] });
  assert.deepEqual(await pipeline.ask("{ etlRuns { id validCount } }"), {
    data: { etlRuns: [{ id: "2", validCount: 2 }, { id: "1", validCount: 1 }] },
  });
  assert.deepEqual((await pipeline.ask("{ etlRuns(limit: 1, offset: 1) { id } }")).data, {
    etlRuns: [{ id: "1" }],
  });
  assert.deepEqual((await pipeline.ask("{ etlRuns(status: [COMPLETED]) { id } }")).data, { etlRuns: [] });
  assert.deepEqual((await pipeline.ask('{ etlRuns(until: "2020-01-01T00:00:00+01:00") { id } }')).data, {
    etlRuns: [],
  });
});

Deno.test("without a database the answers are empty, without an error", async () => {
  await using pipeline = await openApi({}, { store: () => Promise.resolve(undefined) });
  const { data, errors } = await pipeline.ask(`{
    etlRuns { id } etlRun(id: 1) { id } etlRunsConnection { totalCount nodes { id } } records(table: RAW_USERS) { totalCount nodes { id } }
    invalidRecords { nodes { id } } deliveries(sha256: "00") { name } deadLetters { nodes { id } } actors { name instances { id } }
  }`);
  assert.equal(errors, undefined);
  assert.deepEqual(data.etlRuns, []);
  assert.equal(data.etlRun, null);
  assert.deepEqual(data.actors.map(({ name }: { name: string }) => name), [
    "extractor",
    "transformer",
    "saver",
    "gatekeeper",
    "tracker",
    "courier",
    "recorder",
    "notifier",
  ]);
});

Deno.test("a null in place of a record hides no other record of its page", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)], invalid: ["null", "[1]", '"text"', "7"] });
  const { data, errors } = await pipeline.ask("{ records(stage: RAW, first: 10) { nodes { line data } } }");
  assert.equal(errors, undefined);
  const [first, ...others] = data.records.nodes;
  assert.equal(first.data.id, 1);
  assert.deepEqual(others.map(({ data }: { data: unknown }) => data), [null, "***", "***", "***"]);
});

Deno.test("pages of runs stay correct while runs arrive", async () => {
  await using pipeline = await openApi();
  for (let i = 0; i < 5; i++) await fillRun(pipeline.store);
  const page = async (args: string) => {
    const { data, errors } = await pipeline.ask(
      `{ etlRunsConnection(${args}) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
    );
    assert.equal(errors, undefined);
    const { nodes, pageInfo, totalCount } = data.etlRunsConnection;
    return { ids: nodes.map(({ id }: { id: string }) => Number(id)), totalCount, ...pageInfo };
  };
  const first = await page("first: 2");
  assert.deepEqual([first.ids, first.hasNextPage, first.hasPreviousPage, first.totalCount], [
    [5, 4],
    true,
    false,
    5,
  ]);
  await fillRun(pipeline.store);
  const second = await page(`first: 2, after: "${first.endCursor}"`);
  assert.deepEqual([second.ids, second.hasNextPage, second.hasPreviousPage, second.totalCount], [
    [3, 2],
    true,
    true,
    6,
  ]);
  const third = await page(`first: 2, after: "${second.endCursor}"`);
  assert.deepEqual([third.ids, third.hasNextPage], [[1], false]);
  const back = await page(`last: 2, before: "${third.startCursor}"`);
  assert.deepEqual([back.ids, back.hasPreviousPage, back.hasNextPage], [[3, 2], true, true]);
  const newest = await page(`last: 10, before: "${first.startCursor}"`);
  assert.deepEqual([newest.ids, newest.hasPreviousPage], [[6], false]);
  const filtered = await page("first: 10, filter: { status: [FAILED] }");
  assert.deepEqual(filtered.ids, []);
});

Deno.test("unusable arguments are named", async (t) => {
  await using pipeline = await openApi();
  for (
    const [query, says] of [
      ["{ etlRuns(limit: 1001) { id } }", /limit: 1001, wanted 0 to 1000/],
      ["{ etlRuns(offset: -1) { id } }", /offset: -1/],
      ['{ etlRuns(since: "yesterday") { id } }', /Cannot use the time "yesterday"/],
      ["{ etlRun { id } }", /wanted either id or runId/],
      ['{ etlRunsConnection(after: "nonsense") { nodes { id } } }', /"nonsense" is no cursor/],
      [`{ etlRunsConnection(after: "${encodeCursor(1)}") { nodes { id } } }`, /no cursor of this list/],
      [
        `{ etlRunsConnection(after: "${encodeCursor({ run_timestamp: "", id: {} })}") { nodes { id } } }`,
        /no cursor of this list/,
      ],
      [
        `{ records(stage: RAW, after: "${encodeCursor({ id: 1 })}") { nodes { id } } }`,
        /no cursor of this list/,
      ],
      [`{ notifications(after: "${encodeCursor([1, 2])}") { nodes { id } } }`, /no cursor of this list/],
      [
        `{ deadLetters(after: "${encodeCursor({ "channel:deliver": {} })}") { nodes { id } } }`,
        /no cursor of this list/,
      ],
      ["{ etlRunsConnection(first: 1, last: 1) { nodes { id } } }", /both first and last/],
      ["{ etlRunsConnection(first: 501) { nodes { id } } }", /first: 501, wanted 0 to 500/],
      ['{ deadLetters(channel: "channel:else") { nodes { id } } }', /wanted one of channel:start_run/],
      ['{ deadLetters(channel: "toString") { nodes { id } } }', /wanted one of channel:start_run/],
    ] as const
  ) {
    await t.step(query, async () => {
      const { errors } = await pipeline.ask(query);
      assert.match(errors?.[0]?.message ?? "", says);
      assert.notEqual(errors?.[0]?.extensions?.code, "INTERNAL_SERVER_ERROR");
    });
  }
});

Deno.test("a GET whose variables aren't JSON is a bad request", async () => {
  await using pipeline = await openApi();
  const answer = await pipeline.send("/graphql?query=%7BetlRuns%7Bid%7D%7D&variables=%7B");
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /Cannot read the parameter variables: it is no JSON/);
});

Deno.test("a run has its phases, reasons, gaps, files and events", async () => {
  await using pipeline = await openApi();
  const runId = await fillRun(pipeline.store, { valid: [user(1)] });
  const event = (n: number, fields: object) =>
    ({
      id: `e${n}`,
      published_at: `2026-11-24T03:00:0${n}.000Z`,
      run_id: runId,
      actor: "transformer",
      ...fields,
    }) as RunEvent;
  await pipeline.store.record([
    event(1, { type: "phase_started", phase: "TRANSFORMING", attempt: 1 }),
    event(3, {
      type: "phase_completed",
      phase: "TRANSFORMING",
      detail: {
        records: 100,
        reasons: [{ reason: "age: greater than 65", count: 3 }],
        lookup_gaps: [{ department: "Piracy", count: 1 }],
      },
    }),
  ]);
  const { data, errors } = await pipeline.ask(
    `query ($runId: ID!) { etlRun(runId: $runId) {
      id status durationMs delivery { state } failure { reason } files { kind records } events { type phase }
      phases { phase durationMs records recordsPerSecond attempts } reasons { reason count } lookupGaps { department count }
    } }`,
    { runId },
  );
  assert.equal(errors, undefined);
  assert.deepEqual(data.etlRun, {
    id: "1",
    status: "TRANSFORMING",
    durationMs: null,
    delivery: null,
    failure: null,
    files: [{ kind: "raw", records: 1 }, { kind: "processed", records: 1 }, { kind: "invalid", records: 0 }],
    events: [{ type: "phase_started", phase: "TRANSFORMING" }, {
      type: "phase_completed",
      phase: "TRANSFORMING",
    }],
    phases: [{ phase: "TRANSFORMING", durationMs: 2000, records: 100, recordsPerSecond: 50, attempts: 1 }],
    reasons: [{ reason: "age: greater than 65", count: 3 }],
    lookupGaps: [{ department: "Piracy", count: 1 }],
  });
});

Deno.test("a correction run and the run that it corrects link to each other, and so do their records", async () => {
  await using pipeline = await openApi();
  const runId = await fillRun(pipeline.store, {
    invalid: [{ ...user(1), age: 70 }, { ...user(2), age: 71 }],
  });
  const correction = await fillRun(pipeline.store, { valid: [user(2)], correctionOf: runId, corrects: [2] });
  const { data } = await pipeline.ask(`{
    etlRuns { runId correctionOf { runId } corrections { runId } }
    invalidRecords(runId: "${runId}") { nodes { line corrections { line runId data corrects { line runId } } } }
  }`);
  assert.deepEqual(data.etlRuns, [
    { runId: correction, correctionOf: { runId }, corrections: [] },
    { runId, correctionOf: null, corrections: [{ runId: correction }] },
  ]);
  const [first, second] = data.invalidRecords.nodes;
  assert.deepEqual(first.corrections, []);
  assert.equal(second.corrections[0].runId, correction);
  assert.equal(second.corrections[0].data.age, 28);
  assert.deepEqual(second.corrections[0].corrects, { line: 2, runId });
});

Deno.test("records are read page by page, in the file's order", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  const runId = await fillRun(pipeline.store, { valid: [1, 2, 3, 4, 5].map(user) });
  const page = async (after?: string) => {
    const { data } = await pipeline.ask(
      `query ($runId: ID, $after: String) { records(table: PROCESSED_USERS, runId: $runId, first: 2, after: $after) {
        totalCount nodes { line data } pageInfo { hasNextPage endCursor } } }`,
      { runId, after },
    );
    return data.records;
  };
  const lines: number[] = [];
  for (let after: string | undefined, more = true; more;) {
    const { nodes, pageInfo, totalCount } = await page(after);
    assert.equal(totalCount, 5);
    lines.push(...nodes.map(({ line }: { line: number }) => line));
    more = pageInfo.hasNextPage;
    after = pageInfo.endCursor;
  }
  assert.deepEqual(lines, [1, 2, 3, 4, 5]);
});

Deno.test("a list of fifty runs with all related data takes as many reads as a list of one", async () => {
  const reads = new Map<string, number>();
  const counted: { store?: ReadStore } = {};
  await using pipeline = await openApi({}, { store: () => Promise.resolve(counted.store) });
  await using reader = openSqliteToRead(pipeline.path)!;
  counted.store = {
    version: () => reader.version(),
    records: reader.records,
    runs: new Proxy(reader.runs, {
      get: (runs, name) => {
        const read = Reflect.get(runs, name) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          reads.set(String(name), (reads.get(String(name)) ?? 0) + 1);
          return read.apply(runs, args);
        };
      },
    }),
  } as unknown as ReadStore;
  const original = await fillRun(pipeline.store);
  for (let i = 0; i < 49; i++) await fillRun(pipeline.store, { correctionOf: original });
  const query = (limit: number) =>
    pipeline.ask(
      `{ etlRuns(limit: ${limit}) { phases { phase } reasons { count } files { name } corrections { id } correctionOf { id } events { id } } }`,
    );
  assert.equal((await query(1)).errors, undefined);
  const one = Object.fromEntries(reads);
  reads.clear();
  const { data } = await query(50);
  assert.equal(data.etlRuns.length, 50);
  assert.deepEqual(Object.fromEntries(reads), one);
});

Deno.test("a run that doesn't exist is null", async () => {
  await using pipeline = await openApi();
  const { data } = await pipeline.ask(
    `{ a: etlRun(id: 9) { id } b: etlRun(runId: "${newRunId()}") { id } c: etlRun(id: "x") { id } d: etlRun(runId: "x") { id } }`,
  );
  assert.deepEqual(data, { a: null, b: null, c: null, d: null });
});

Deno.test("an unexpected error is answered with only an id", async () => {
  await using pipeline = await openApi({}, {
    store: () =>
      Promise.resolve({
        get runs(): never {
          throw new Error("secret of the inside");
        },
      } as unknown as ReadStore),
  });
  const answer = await pipeline.ask("{ etlRuns { id } }");
  assert.match(answer.errors?.[0]?.message ?? "", /^Internal error [0-9a-f-]{36}\./);
  assert.equal(answer.errors?.[0]?.extensions?.code, "INTERNAL_SERVER_ERROR");
  assert.ok(!JSON.stringify(answer).includes("secret"));
});
