import assert from "node:assert/strict";
import fc from "fast-check";
import { Database } from "../../sqlite/database.ts";
import { immediate } from "../../sqlite/transaction.ts";
import { history, liveThrough, thingsOf } from "../../../tests/support/histories.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { migrate } from "./migrate.ts";
import { SqliteReadStore, SqliteStore } from "./open.ts";
import { refreshViews } from "./views.ts";

Deno.test("the current state is what the runs leave behind in the order of extraction, however they were loaded: late, held, cancelled, repeated, killed", async () => {
  const db = new Database(":memory:"); // 1,000 histories on a disk take minutes
  const store = new SqliteStore(db, new SqliteReadStore(db));
  await migrate(db);
  const tables = ["run_files", "run_moves", "etl_runs", '"current$things"', '"changes$things"'];
  const emptied = [...tables, ...["raw", "processed", "invalid"].map((kind) => `"${kind}_records$things"`)];
  await fc.assert(
    fc.asyncProperty(history, async (given) => {
      await immediate(db, () => refreshViews(db, [thingsOf(given.mode)]));
      db.script(emptied.map((table) => `DELETE FROM ${table};`).join(""));
      await liveThrough(store, given, () => {
        assert.deepEqual(
          db.all(
            'SELECT id FROM "processed_records$things" AS r WHERE same_as IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "processed_records$things" AS b WHERE b.id = r.same_as AND b.same_as IS NULL)',
          ),
          [],
          "no reference leads to another",
        );
        return Promise.resolve();
      });
      assert.deepEqual(problemsOfCurrent(db, "things", thingsOf(given.mode).current!), [], "verify agrees");
    }),
    { numRuns: 1_000 },
  );
  db[Symbol.dispose]();
});
