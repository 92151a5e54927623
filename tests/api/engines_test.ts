/**
 * The API returns the same answers with either engine of the store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fillRun, openApi, openApiOnPostgres, type TestApi, user } from "../support/api.ts";
import { needing } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import type { Conditions } from "../../shared/store/current_rows.ts";
import type { Store } from "../../shared/store/store.ts";

const test = needing("postgres");

const [FIRST, SECOND, CORRECTION] = [1, 2, 3].map((n) => `01a22a7f-bf01-746d-af41-00000000000${n}`) as [
  string,
  string,
  string,
];

const STRANGE = [
  '{"id": "x", "age": 70, "ssn": "900-590-289", "error_reason": "age: 70 is greater than 65; id: is no number"}',
  '{"id": 12345678901234567890, "age": 9007199254740993, "height": 1.50, "hair": {"color": "Brown", "n": 1.0, "big": 12345678901234567890}, "error_reason": "age: 9 is greater than 65"}',
  '{"raw_line": "not JSON {", "error_reason": "record: is no JSON"}',
  '{"id": 7, "bank": "4444333322221111", "crypto": [1, {"a": "\\u0000"}], "is": true, "no": false, "nothing": null, "error_reason": "bank: expected object"}',
];

/**
 * Creates the same runs in each store: 40 keys, some of which the second run changes, drops and adds, and a
 * correction.
 */
async function fill(store: Store): Promise<void> {
  const users = (from: number, to: number, age = 28) =>
    Array.from({ length: to - from + 1 }, (_, n) => ({ ...user(from + n), age }));
  await fillRun(store, { runId: FIRST, valid: users(1, 40), invalid: STRANGE });
  await fillRun(store, {
    runId: SECOND,
    valid: [...users(3, 30), ...users(31, 42, 29)],
    invalid: STRANGE.slice(1),
  });
  await fillRun(store, { runId: CORRECTION, valid: users(50, 50), correctionOf: FIRST, corrects: [1] });
}

const PATHS = [
  "/etl_runs",
  "/etl_runs?limit=2&offset=1",
  "/data/raw_users?limit=7",
  "/data/raw_users?limit=50&offset=38",
  "/data/processed_users?limit=5&offset=39",
  "/data/invalid_users",
  "/data/users?limit=100",
  "/data/users?limit=3&offset=37",
  "/data/users_changes?limit=100",
  "/data/nowhere",
];

/** Replaces times and durations, which differ from run to run. */
function steady(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");
}

test("REST gives the same answers over PostgreSQL as over SQLite, byte for byte except for times", async (t) => {
  await using server = await startPostgres();
  await using sqlite = await openApi();
  await using postgres = await openApiOnPostgres(await server.createDatabase());
  await fill(sqlite.store);
  await fill(postgres.store);
  for (const path of PATHS) {
    await t.step(path, async () => {
      const [a, b] = await Promise.all([sqlite, postgres].map(async (api: TestApi<Store>) => {
        const answer = await api.send(path);
        return { status: answer.status, text: steady(await answer.text()) };
      }));
      assert.deepEqual(b, a);
      assert.ok(a!.text.length > 2);
    });
  }
});

test("every read of the store gives the same answer over either engine", async () => {
  await using server = await startPostgres();
  await using sqlite = await openApi();
  await using postgres = await openApiOnPostgres(await server.createDatabase());
  await fill(sqlite.store);
  await fill(postgres.store);
  const all = async (read: (store: Store) => Promise<unknown>) => {
    const [a, b] = await Promise.all([sqlite.store, postgres.store].map(async (store: Store) => {
      const value = await read(store).catch((error) => `${error.name}: ${error.message}`);
      const plain = value instanceof Map ? [...value] : value;
      return steady(JSON.stringify(plain, (_, v) => typeof v === "bigint" ? `${v}n` : v) ?? "null");
    }));
    assert.deepEqual(JSON.parse(b!), JSON.parse(a!), read.toString());
  };
  const without = (rows: object[] | undefined, ...keys: string[]) =>
    rows?.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !keys.includes(key))));
  await all((s) => s.runs.list({}, { limit: 10, offset: 0 }));
  await all((s) => s.runs.list({ loaded: true, status: ["LOADING", "FAILED"] }, { limit: 10, offset: 1 }));
  for (
    const filter of [{}, { loaded: true }, { pipeline: "users" }, { status: [] }, { since: "2026" }, {
      until: "2026",
    }]
  ) {
    await all((s) => s.runs.count(filter));
    await all((s) => s.runs.page(filter, { limit: 2 }));
    await all((s) => s.runs.page(filter, { limit: 2, from: "end" }));
  }
  await all(async (s) => {
    const [newest] = await s.runs.page({}, { limit: 1 });
    return [
      await s.runs.page({}, { limit: 5, after: newest }),
      await s.runs.page({}, { limit: 1, before: newest }),
    ];
  });
  await all((s) => s.runs.byId(2));
  await all((s) => s.runs.byRunId("none"));
  await all((s) => s.runs.byRawFile("data/raw_users/records_20261124_030007.jsonl"));
  await all((s) => s.runs.lastLoaded("users", SECOND));
  await all((s) => s.runs.byRunIds([SECOND, "none", FIRST]));
  await all((s) => s.runs.eventsOf([FIRST]));
  await all(async (s) => without((await s.runs.filesOf([SECOND, FIRST])).get(SECOND), "packed", "same"));
  await all((s) => s.runs.loadedFiles());
  await all((s) => s.runs.correctionsOf([FIRST, SECOND]));
  for (const table of ["raw_users", "processed_users", "invalid_users"] as const) {
    await all((s) => s.records.rows(table, { limit: 200, offset: 0 }));
    await all((s) => s.records.count(table));
    await all((s) => s.records.count(table, SECOND));
    await all((s) => s.records.page(table, {}, { limit: 9 }));
    await all((s) => s.records.page(table, { runId: SECOND }, { limit: 3, from: "end" }));
    await all((s) => s.records.page(table, { runId: SECOND }, { limit: 3, after: 5_000_000_002 }));
    await all((s) => s.records.page(table, {}, { limit: 3, before: 5_000_000_002, from: "end" }));
  }
  for (const reason of ["age: greater than 65", "AGE", "%", "50%_", "is no JSON", "greater"]) {
    await all((s) => s.records.page("invalid_users", { reason }, { limit: 10 }));
  }
  await all((s) => s.records.byIds("invalid", [3_000_000_001, 6_000_000_002, 99]));
  await all((s) => s.records.unmaskedTexts("invalid_users", [3_000_000_003]));
  await all(async (s) =>
    await Array.fromAsync(s.records.unmaskedLines({ id: 4, kind: "raw", pipeline: "users" }))
  );
  await all((s) => s.records.correctionsOf([3_000_000_001, 3_000_000_002]));
  await all((s) => s.records.correctedBy([7_000_000_001]));
  await all((s) => s.records.tables());
  await all((s) => s.records.page("raw_nobody", {}, { limit: 1 }));
  await all((s) => s.current.pipelines());
  await all((s) => s.current.fields("users"));
  await all((s) => s.current.count("users"));
  await all((s) => s.current.count("users_changes"));
  await all((s) => s.current.tableRows("users", { limit: 100, offset: 2 }));
  await all((s) => s.current.tableRows("users_changes", { limit: 100, offset: 2 }));
  const searches: Conditions[] = [
    {},
    { age: { gt: 28 } },
    { age: { lt: 29 } },
    { age: { eq: 28 } },
    { age: { eq: "28" } },
    { age: { lt: "a" } },
    { age: { in: [29, "x"] } },
    { id: { gt: 38 } },
    { id: { lt: "5" } },
    { id: { eq: 4 } },
    { id: { in: [4, 5, "6"] } },
    { id: { like: "4%" } },
    { department_code: { eq: "ENG" } },
    { department_code: { eq: null } },
    { department_code: { like: "e%g" } },
    { department_code: { gt: "A", lt: "F" } },
    { department_code: { in: ["ENG", "X"] }, age: { gt: 28 } },
    { nowhere: { eq: 1 } },
    { ssn: { eq: "1" } },
  ];
  for (const where of searches) {
    await all((s) => s.current.page("users", where, { limit: 5 }));
    await all(async (s) => {
      const [first] = await s.current.page("users", where, { limit: 1 });
      return first && [
        await s.current.page("users", where, { limit: 4, after: first.cursor }),
        await s.current.page("users", where, { limit: 4, from: "end" }),
        await s.current.page("users", where, { limit: 4, before: first.cursor }),
      ];
    });
  }
  await all((s) => s.current.byKeys("users", ["4", 5, "none", 1]));
  await all((s) => s.current.changes("users", {}, { limit: 60 }));
  await all((s) => s.current.changes("users", { change: "removed" }, { limit: 60, from: "end" }));
  await all((s) => s.current.changes("users", { runId: SECOND, key: 35 }, { limit: 60 }));
  await all(async (s) => {
    const [first] = await s.current.changes("users", {}, { limit: 1 });
    return await s.current.changes("users", {}, { limit: 7, after: first!.cursor });
  });
  await all((s) => s.current.moves([FIRST, SECOND, "none"]));
  await all((s) => s.current.invalidOf("users", 7, 10));
  await all((s) => s.current.invalidOf("users", "x", 10));
  await all((s) => s.current.rawOf("users", SECOND, 35));
  await all((s) => s.holds.latest());
  await all((s) => s.notifications.list({ limit: 3 }));
});

test("while the server is unreachable the API answers 503, and works as soon as it is back", async () => {
  await using server = await startPostgres();
  await using api = await openApiOnPostgres(await server.createDatabase());
  await fillRun(api.store, { valid: [user(1)] });
  const ask = async (path: string) => (await api.send(path)).status;
  const graphql = async () => (await api.ask("{ etlRuns { id } }")).errors?.[0]?.message;
  assert.deepEqual([await ask("/readyz"), await ask("/etl_runs"), await graphql()], [200, 200, undefined]);
  await server.stop();
  assert.deepEqual([await ask("/readyz"), await ask("/etl_runs"), await ask("/healthz")], [503, 503, 200]);
  assert.notEqual(await graphql(), undefined);
  await server.start();
  assert.deepEqual([await ask("/readyz"), await ask("/etl_runs"), await graphql()], [200, 200, undefined]);
});
