import assert from "node:assert/strict";
import { newRunId } from "../../contracts/ids.ts";
import { RunEvent } from "../../contracts/messages.ts";
import { NoSpace, TransientError } from "../../errors/errors.ts";
import { pausedLines } from "../../../tests/conformance/store.ts";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { linesOf, startChild, usersTables } from "../../../tests/support/store.ts";
import { smallDisk } from "../../../tests/support/tmpfs.ts";
import type { FileToLoad } from "../writes.ts";
import { Postgres } from "./connection.ts";
import { openPostgres } from "./store.ts";

const test = needing("postgres");

const FILE: FileToLoad = { runId: "run-1", pipeline: "users", kind: "raw", name: "data/raw_users/a.jsonl" };
const TEXTS = Array.from({ length: 20_000 }, (_, id) => JSON.stringify({ id, text: "x".repeat(1_000) }));

function requested(id: string): RunEvent {
  return RunEvent.parse({
    id,
    published_at: new Date().toISOString(),
    run_id: newRunId(),
    actor: "api",
    type: "run_requested",
    requested_by: "ana",
  });
}

test("a saver continues after a restart of its server, and reports that the server was unreachable", async () => {
  await using server = await startPostgres();
  await using store = await openPostgres(await server.createDatabase(), usersTables([]));
  await store.record([requested("before")]);
  await server.stop();
  await assert.rejects(store.record([requested("away")]), TransientError);
  await assert.rejects(store.loadFile(FILE, linesOf(TEXTS)), TransientError);
  await server.start();
  await store.record([requested("after")]);
  assert.equal(await store.runs.count(), 2);
  assert.equal((await store.loadFile(FILE, linesOf(TEXTS))).records, 20_000);
});

test("a saver killed in the middle of a load leaves nothing and keeps no lock; another one loads the file", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using store = await openPostgres(url, usersTables([]));
  await using saver = startChild(`
    const { openPostgres } = await import(store + "../postgres/store.ts");
    const { linesOf, usersTables } = await import(store + "../../../tests/support/store.ts");
    const opened = await openPostgres(${JSON.stringify(url)}, usersTables([]));
    const endless = async function* () {
      const lines = Array.from({ length: 1000 }, () => '{"id":1}');
      for (let first = 1;; first += lines.length) {
        yield await Promise.resolve({ first, lines, flaws: new Map() });
        if (first === 100_001) console.log("a hundred thousand lines are sent");
      }
    };
    await opened.loadFile(${JSON.stringify(FILE)}, endless);
  `);
  await saver.printed("a hundred thousand lines are sent");
  await saver.kill();
  assert.equal((await store.loadFile(FILE, linesOf(TEXTS))).records, 20_000);
  assert.equal(await store.records.count("raw_users"), 20_000);
  assert.deepEqual(
    await server.psql("SELECT count(*) FROM raw_records", new URL(url).pathname.slice(1)),
    "20000",
  );
});

test("a connection cut in the middle of a COPY leaves nothing, and the load is repeated", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using store = await openPostgres(url, usersTables([]));
  await using db = new Postgres(url, { name: "test" });
  const paused = pausedLines(TEXTS);
  const cut = assert.rejects(store.loadFile(FILE, paused.source), TransientError);
  await paused.reached;
  await db.all(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'`,
  );
  paused.go();
  await cut;
  assert.deepEqual((await store.runs.filesOf(["run-1"])).get("run-1"), []);
  assert.equal((await store.loadFile(FILE, linesOf(TEXTS))).records, 20_000);
  assert.deepEqual(await db.get("SELECT count(*) AS n FROM raw_records"), { n: 20_000 });
});

test("a server that is read-only, as after a failover, is waited for", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using store = await openPostgres(url, usersTables([]));
  const name = new URL(url).pathname.slice(1);
  const turn = async (way: string) => {
    await server.psql(`ALTER DATABASE ${name} SET default_transaction_read_only = ${way}`);
    await server.psql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
  };
  await turn("on");
  for (const write of [() => store.record([requested("a")]), () => store.loadFile(FILE, linesOf(TEXTS))]) {
    // after the cut, each connection may fail once, with the lost connection as reason
    const reasons: string[] = [];
    for (let tries = 0; tries < 5; tries++) {
      await assert.rejects(write, (error: unknown) => {
        assert.ok(error instanceof TransientError, String(error));
        reasons.push(error.message);
        return true;
      });
    }
    assert.match(reasons.at(-1)!, /it only takes reads/);
  }
  await turn("off");
  for (let tries = 0; tries < 5; tries++) {
    await store.record([requested("a")]).catch((error) => assert.ok(error instanceof TransientError));
  }
  assert.equal(await store.runs.count(), 1);
  assert.equal((await store.loadFile(FILE, linesOf(TEXTS))).records, 20_000);
});

test("a held lock is waited for up to a bound, and the waiting transaction leaves nothing", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using store = await openPostgres(`${url}?lock_timeout=300`, usersTables([]));
  await using db = new Postgres(url, { name: "test" });
  await db.transaction(async (session) => {
    await session.script("LOCK TABLE etl_runs IN SHARE MODE");
    await assert.rejects(store.record([requested("a")]), (error: unknown) => {
      assert.ok(error instanceof TransientError, String(error));
      assert.match(error.message, /holds a lock for too long/);
      return true;
    });
  });
  assert.equal(await store.runs.count(), 0);
  await store.record([requested("a")]);
  assert.equal(await store.runs.count(), 1);
});

test("a load that fills the server's disk leaves no record, and completes once there is room", async () => {
  await using server = await startPostgres();
  await using owned = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "full-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = await smallDisk(folder, 24_000_000);
  if (disk === undefined) return; // this process can't mount
  owned.use(disk);
  const { uid, gid } = await Deno.stat("/var/lib/postgresql");
  await Deno.chown(folder, uid, gid);
  await server.psql(`CREATE TABLESPACE small LOCATION '${folder}'`);
  const url = await server.createDatabase("TABLESPACE small");
  {
    await using store = await openPostgres(url, usersTables([]));
    await assert.rejects(store.loadFile(FILE, linesOf(TEXTS)), NoSpace);
    assert.deepEqual((await store.runs.filesOf(["run-1"])).get("run-1"), []);
    assert.equal(await store.records.count("raw_users"), 0);
    await disk.resize(120_000_000);
    assert.equal((await store.loadFile(FILE, linesOf(TEXTS))).records, 20_000);
  }
  await server.kill(); // the server has open files there
});
