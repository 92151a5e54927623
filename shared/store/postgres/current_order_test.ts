import assert from "node:assert/strict";
import fc from "fast-check";
import { history, liveThrough, type Mode, thingsOf } from "../../../tests/support/histories.ts";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { Postgres } from "./connection.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { openPostgres } from "./store.ts";

const test = needing("postgres");

test("the current state in PostgreSQL follows the order of extraction, in whatever order runs are loaded: late, held, cancelled, repeated, killed", async () => {
  await using server = await startPostgres({ settings: { fsync: "off" } });
  for (const mode of ["snapshot", "upsert"] satisfies Mode[]) {
    const url = await server.createDatabase();
    await using store = await openPostgres(url, [thingsOf(mode)]);
    await using db = new Postgres(url, { name: "test" });
    const tables = ["run_files", "run_moves", "etl_runs", '"current$things"', '"changes$things"'];
    const emptied = [...tables, ...["raw", "processed", "invalid"].map((kind) => `"${kind}_records$things"`)];
    await fc.assert(
      fc.asyncProperty(history.filter((one) => one.mode === mode), async (given) => {
        await db.script(emptied.map((table) => `DELETE FROM ${table};`).join(""));
        await liveThrough(store, given, () => Promise.resolve());
        assert.deepEqual(await problemsOfCurrent(db, "things", thingsOf(mode).current!), [], "verify agrees");
      }),
      { numRuns: 30 },
    );
  }
});
