import assert from "node:assert/strict";
import { PermanentError, TransientError } from "../../errors/errors.ts";
import { openSqlite, openSqliteToRead } from "./open.ts";
import { Database } from "../../sqlite/database.ts";
import { linesOf, loadTexts, startChild, tempStore, usersTables } from "../../../tests/support/store.ts";

Deno.test("a reader learns that the database doesn't exist yet, then that it isn't ready, then reads", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/data.db`;
    assert.equal(openSqliteToRead(path), undefined);
    await Deno.writeFile(path, new Uint8Array());
    assert.equal(openSqliteToRead(path), undefined);
    await using store = await openSqlite(path, { pipelines: usersTables([]) });
    await using reader = openSqliteToRead(path);
    assert.equal(await reader?.runs.count(), 0);
    assert.equal(await store.runs.count(), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a reader refuses a damaged file and a database of a newer version", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/a.db`, "no database ".repeat(100));
    assert.throws(() => openSqliteToRead(`${folder}/a.db`), PermanentError);
    {
      using db = new Database(`${folder}/b.db`);
      db.script("PRAGMA user_version = 999");
    }
    assert.throws(() => openSqliteToRead(`${folder}/b.db`), PermanentError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an invalid mask fails the opening", () => {
  assert.throws(() => usersTables(["bank..iban"]), /Correct MASK_FIELDS/);
});

Deno.test("an error within a transaction leaves nothing, and the next one works", async () => {
  await using temp = await tempStore();
  const add = (name: string) => (db: Database) =>
    db.run("INSERT INTO pipeline_fields (pipeline, name) VALUES ('users', ?)", name);
  await assert.rejects(
    temp.store.write((db) => {
      add("half")(db);
      throw new Error("stop");
    }),
    /stop/,
  );
  await temp.store.write(add("whole"));
  const names = await temp.store.write((db) =>
    db.all("SELECT name FROM pipeline_fields WHERE name IN ('half', 'whole')")
  );
  assert.deepEqual(names, [{ name: "whole" }]);
});

Deno.test("transactions of one process run one after the other, in order of arrival", async () => {
  await using temp = await tempStore();
  const order: string[] = [];
  const first = Promise.withResolvers<void>();
  const writes = [
    temp.store.write(async () => {
      order.push("first begins");
      await first.promise;
      order.push("first ends");
    }),
    temp.store.write(() => void order.push("second")),
  ];
  first.resolve();
  await Promise.all(writes);
  assert.deepEqual(order, ["first begins", "first ends", "second"]);
});

Deno.test("a lock held by another process is waited for without blocking this one, up to a bound", async () => {
  await using temp = await tempStore();
  await using holder = startChild(`
    const { Database } = await import(store + "../../sqlite/database.ts");
    const db = new Database(${JSON.stringify(temp.path)});
    db.script("BEGIN IMMEDIATE");
    console.log("held");
    for await (const _ of Deno.stdin.readable);
    db.script("ROLLBACK");
  `);
  await holder.printed("held");

  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  const began = performance.now();
  await assert.rejects(temp.store.write(() => {}, { waitMs: 300 }), (error: unknown) => {
    assert(error instanceof TransientError);
    assert.match(error.message, /has held its lock for 0\.3 s/);
    return true;
  });
  clearInterval(timer);
  const waited = performance.now() - began;
  assert(waited >= 299 && waited < 5000, `waited ${waited} ms`);
  assert(ticks >= 5, `only ${ticks} ticks`);

  const stop = new AbortController();
  const given = temp.store.write(() => {}, { signal: stop.signal });
  stop.abort(new Error("shutting down"));
  await assert.rejects(given);

  const waiting = temp.store.write(() => "through");
  await holder.release();
  assert.equal(await waiting, "through");
});

Deno.test("readers on another connection never wait for a load, and see nothing of it before its end", async () => {
  await using temp = await tempStore();
  await loadTexts(temp.store, "run-1", "raw", ['{"id":1}']);
  await using reader = openSqliteToRead(temp.path)!;
  const lines = Array.from({ length: 20_000 }, (_, n) => JSON.stringify({ id: n, text: "x".repeat(500) }));
  const slowest = { read: 0, reads: 0 };
  const load = temp.store.loadFile(
    { runId: "run-2", pipeline: "users", kind: "raw", name: "data/raw.jsonl" },
    async function* (onEnd) {
      for await (const batch of linesOf(lines)(onEnd)) {
        const began = performance.now();
        assert.equal((await reader.records.rows("raw_users", { limit: 10, offset: 0 })).rows.length, 1);
        assert.equal(await reader.records.count("raw_users"), 1);
        slowest.read = Math.max(slowest.read, performance.now() - began);
        slowest.reads++;
        yield batch;
      }
    },
  );
  assert.deepEqual(await load, { records: 20_000, skipped: false });
  assert.equal(await reader.records.count("raw_users"), 20_001);
  assert.equal(slowest.reads, 200);
  assert(slowest.read < 500, `a read took ${slowest.read} ms`);
});

Deno.test("a checkpoint empties the write-ahead log, and does no harm while somebody reads", async () => {
  await using temp = await tempStore();
  await loadTexts(
    temp.store,
    "run-1",
    "raw",
    Array.from({ length: 1000 }, (_, id) => JSON.stringify({ id })),
  );
  using db = new Database(temp.path, { readOnly: true });
  db.script("BEGIN");
  assert.deepEqual(db.all("SELECT count(*) AS n FROM raw_records"), [{ n: 1000 }]);
  await loadTexts(temp.store, "run-2", "raw", ['{"id":1}']);
  await temp.store.tidy();
  assert.deepEqual(db.all("SELECT count(*) AS n FROM raw_records"), [{ n: 1000 }]);
  db.script("COMMIT");
  await temp.store.tidy();
  assert.equal((await Deno.stat(`${temp.path}-wal`)).size, 0);
  assert.equal(await temp.store.records.count("raw_users"), 1001);
});
