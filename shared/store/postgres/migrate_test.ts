import assert from "node:assert/strict";
import { PermanentError, TransientError } from "../../errors/errors.ts";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { linesOf, usersTables } from "../../../tests/support/store.ts";
import { Postgres } from "./connection.ts";
import { openPostgres } from "./store.ts";
import { checkServer, migrate, SCHEMA_VERSION, schemaVersion, unfit } from "./migrate.ts";

const test = needing("postgres");

test("several services that start at once create one schema", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const all = Array.from({ length: 5 }, () => new Postgres(url, { name: "test" }));
  try {
    assert.equal(await schemaVersion(all[0]!, "here"), 0);
    await Promise.all(all.map(migrate));
    await migrate(all[0]!);
    assert.deepEqual(await all[0]!.all("SELECT * FROM etl_schema"), [{ version: SCHEMA_VERSION }]);
  } finally {
    await Promise.all(all.map((db) => db[Symbol.asyncDispose]()));
  }
});

test("a database that is newer or has foreign tables of these names is refused and left unchanged", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using db = new Postgres(url, { name: "test" });
  await db.script("CREATE TABLE holds (x int)");
  await assert.rejects(
    migrate(db),
    (error) => error instanceof PermanentError && /\(holds\)/.test(error.message),
  );
  await db.script("DROP TABLE holds");
  await migrate(db);
  await db.script("UPDATE etl_schema SET version = 99");
  await assert.rejects(
    migrate(db),
    (error) => error instanceof PermanentError && /newer program/.test(error.message),
  );
});

test("a saver that runs while a newer program changes the schema stops loading, and reports why", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  await using store = await openPostgres(url, usersTables([]));
  const file = { runId: "run-1", pipeline: "users", kind: "raw" as const, name: "data/raw_users/a.jsonl" };
  await server.psql("UPDATE etl_schema SET version = version + 1", name);
  await assert.rejects(
    store.loadFile(file, linesOf(["{}"])),
    (error) => error instanceof TransientError && /Replace this program by the newer one/.test(error.message),
  );
  assert.equal(await store.records.count("raw_users"), 0);
  await server.psql("UPDATE etl_schema SET version = version - 1", name);
  assert.equal((await store.loadFile(file, linesOf(["{}"]))).records, 1);
});

test("a server that can't keep the guarantees is refused", async () => {
  await using server = await startPostgres();
  await using latin = new Postgres(
    await server.createDatabase("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"),
    { name: "test" },
  );
  await assert.rejects(
    checkServer(latin),
    (error) => error instanceof PermanentError && /LATIN1/.test(error.message),
  );
  const url = await server.createDatabase();
  await using repeatable = new Postgres(url, {
    name: "test",
    settings: { default_transaction_isolation: "repeatable read" },
  });
  await assert.rejects(checkServer(repeatable), /pooler/);
  await using lossy = new Postgres(url, { name: "test", settings: { synchronous_commit: "off" } });
  await assert.rejects(checkServer(lossy), /synchronous_commit/);
  await using good = new Postgres(url, { name: "test" });
  assert.ok((await checkServer(good)).version >= 150_000);
});

Deno.test("a server older than 15 is refused", () => {
  const of = (version: number) =>
    unfit({ version, encoding: "UTF8", isolation: "read committed", commit: "on" });
  assert.equal(of(140_020), "the server has version 14, wanted 15 or newer. Upgrade it");
  assert.match(of(90_624)!, /has version 9, /);
  for (const version of [150_000, 170_006, 200_001]) assert.equal(of(version), undefined);
});

test("the number of runs stays correct, whatever changes it", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(await server.createDatabase(), { name: "test" });
  await migrate(db);
  const insert = (from: number, to: number, loaded: string | null) =>
    db.run(
      `INSERT INTO etl_runs (run_timestamp, run_id, status, status_at, loaded_at)
       SELECT '', n::text, 'LOADING', '', $3 FROM generate_series($1::int, $2::int) AS n`,
      from,
      to,
      loaded,
    );
  const counts = () =>
    db.get("SELECT sum(runs) AS runs, sum(loaded) AS loaded, count(*) AS rows FROM run_counts");
  await insert(1, 1000, null);
  await Promise.all(Array.from({ length: 40 }, (_, n) => insert(2000 + n, 2000 + n, n % 2 ? null : "now")));
  await db.run("UPDATE etl_runs SET loaded_at = 'now' WHERE run_id IN ('1', '2', '2000')");
  await db.run("UPDATE etl_runs SET loaded_at = NULL WHERE run_id = '2'");
  await db.run("UPDATE etl_runs SET status = 'FAILED'");
  await db.run("DELETE FROM etl_runs WHERE run_id IN ('1', '3')");
  assert.deepEqual(await counts(), { runs: 1038, loaded: 20, rows: 1 });
  await assert.rejects(db.transaction(async (session) => {
    await session.run("DELETE FROM etl_runs");
    throw new RangeError();
  }));
  assert.deepEqual(await counts(), { runs: 1038, loaded: 20, rows: 1 });
});
