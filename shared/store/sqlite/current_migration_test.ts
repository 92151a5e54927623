import assert from "node:assert/strict";
import { Database } from "../../sqlite/database.ts";
import { oldDatabase } from "../../../tests/support/old_database.ts";
import { loadTexts, usersTables } from "../../../tests/support/store.ts";
import { openSqlite, openSqliteToRead } from "./open.ts";

const idOf = (n: number) => `0190e000-000${n}-7000-8000-00000000000${n}`;

Deno.test("a database of the previous version gets its current state from its runs, in the order of extraction, and loses nothing", async () => {
  await using old = await oldDatabase();
  const shown = (path: string) => {
    using db = new Database(path, { readOnly: true });
    const tables = ["raw_users", "processed_users", "invalid_users"];
    return tables.map((table) => db.table(`SELECT * FROM ${table} ORDER BY record_id`));
  };
  const before = shown(old.path);
  await using store = await openSqlite(old.path, { pipelines: usersTables(["ssn"]) });
  assert.equal(await store.fillCurrent(), 3);
  assert.deepEqual(
    shown(old.path).map(({ rows }) => rows.length),
    before.map(({ rows }) => rows.length),
  );
  assert.deepEqual(
    (await store.current.page("users", {}, { limit: 9 })).map((
      { key, record, first_run, changed_run, seen_run },
    ) => [
      key,
      (record as { age: number }).age,
      ...[first_run, changed_run, seen_run].map((id) => Number(id.at(-1))),
    ]),
    [[1, 20, 1, 1, 2], [2, 31, 1, 2, 2], [4, 65, 3, 3, 3]],
  );
  assert.deepEqual(
    (await store.current.changes("users", {}, { limit: 9 })).map(({ key, change, run_id }) =>
      `${run_id.at(-1)} ${change} ${key}`
    ),
    ["1 added 1", "1 added 2", "1 added 3", "2 changed 2", "2 removed 3", "3 added 4"],
  );
  assert.equal(await store.fillCurrent(), 0);
});

Deno.test("the next load refers to records stored by the previous version", async () => {
  await using old = await oldDatabase();
  await using store = await openSqlite(old.path, { pipelines: usersTables([]) });
  const [line] = await Array.fromAsync(
    store.records.unmaskedLines((await store.runs.filesOf([idOf(2)])).get(idOf(2))![0]!),
  );
  await store.write((db) =>
    db.run(
      "INSERT INTO etl_runs (run_id, run_timestamp, status, status_at) VALUES ('run-4', '2026', 'LOADING', '2026')",
    )
  );
  await loadTexts(store, "run-4", "raw", [line!.text, '{"id":9}']);
  const rows = await store.write((db) =>
    db.all<{ json: string; same_as: number | null }>(
      "SELECT json, same_as FROM raw_records WHERE id / 1000000000 = (SELECT max(id) FROM run_files)",
    )
  );
  assert.deepEqual(rows.map(({ json }) => json), ["", '{"id":9}']);
  const texts = await store.records.unmaskedTexts("raw_users", [rows[0]!.same_as!]);
  assert.deepEqual([...texts.values()], [line!.text]);
});

Deno.test("a reader of this version waits until the writer has migrated the database", async () => {
  await using old = await oldDatabase();
  assert.equal(openSqliteToRead(old.path), undefined);
  await (await openSqlite(old.path, { pipelines: usersTables([]) }))[Symbol.asyncDispose]();
  await using reader = openSqliteToRead(old.path);
  assert.equal(await reader?.current.count("users"), 0, "until the saver has filled it");
});
