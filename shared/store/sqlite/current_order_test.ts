import assert from "node:assert/strict";
import fc from "fast-check";
import { Database } from "../../sqlite/database.ts";
import { immediate } from "../../sqlite/transaction.ts";
import { history, liveThrough, type Mode, thingsOf } from "../../../tests/support/histories.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { migrate } from "./migrate.ts";
import { SqliteReadStore, SqliteStore } from "./open.ts";
import { refreshViews } from "./views.ts";

Deno.test("the current state follows the order of extraction, in whatever order runs are loaded: late, held, cancelled, repeated, killed", async () => {
  using snapshot = await emptyDatabase("snapshot");
  using upsert = await emptyDatabase("upsert");
  const stores = {
    snapshot: { db: snapshot, store: new SqliteStore(snapshot, new SqliteReadStore(snapshot)) },
    upsert: { db: upsert, store: new SqliteStore(upsert, new SqliteReadStore(upsert)) },
  };
  const tables = ["run_files", "run_moves", "etl_runs", '"current$things"', '"changes$things"'];
  const emptied = [...tables, ...["raw", "processed", "invalid"].map((kind) => `"${kind}_records$things"`)];
  await fc.assert(
    fc.asyncProperty(history, async (given) => {
      const { db, store } = stores[given.mode];
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
      assert.deepEqual(
        await problemsOfCurrent(db, "things", thingsOf(given.mode).current!),
        [],
        "verify agrees",
      );
    }),
    { numRuns: 300 },
  );
});

/** Creates a database with the tables of `things`. In memory, as 300 histories on a disk take a minute. */
async function emptyDatabase(mode: Mode): Promise<Database> {
  const db = new Database(":memory:");
  await migrate(db);
  await immediate(db, () => refreshViews(db, [thingsOf(mode)]));
  return db;
}
