import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { smallDisk } from "../../../tests/support/tmpfs.ts";
import { NoSpace, PermanentError, TransientError } from "../../errors/errors.ts";
import { openSqlite } from "./open.ts";
import { linesOf, tempStore, usersTables } from "../../../tests/support/store.ts";
import type { FileToLoad } from "../writes.ts";

const FILE: FileToLoad = {
  runId: "run-1",
  pipeline: "users",
  kind: "raw",
  name: "data/raw_users/records_20261124_030000.jsonl",
};

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

Deno.test("records keep their text and the number of their line; blank lines count as lines, not as records", async () => {
  await using temp = await tempStore();
  const texts = ['{"id": 1}', "", "not json", "  ", '{"id":9007199254740993, "x":1.0}'];
  assert.deepEqual(await temp.store.loadFile(FILE, linesOf(texts, 2)), {
    records: 3,
    skipped: false,
  });
  const rows = await temp.store.write((db) => db.all("SELECT id, json FROM raw_records"));
  assert.deepEqual(rows, [
    { id: 1_000_000_001, json: texts[0] },
    { id: 1_000_000_003, json: texts[2] },
    { id: 1_000_000_005, json: texts[4] },
  ]);
  const [file] = (await temp.store.runs.filesOf(["run-1"])).get("run-1")!;
  const { loaded_at, ...rest } = file!;
  assert.deepEqual(rest, {
    id: 1,
    run_id: "run-1",
    pipeline: "users",
    kind: "raw",
    name: FILE.name,
    sha256: sha256(texts.join("\n") + "\n"),
    bytes: texts.join("\n").length + 1,
    records: 3,
    removed_at: null,
    trimmed_at: null,
    kept: null,
    packed: null,
  });
  assert(Math.abs(Date.parse(loaded_at) - Date.now()) < 60_000);
});

Deno.test("a file that is loaded already isn't loaded again, and not even read where its sum was announced", async () => {
  await using temp = await tempStore();
  const texts = ['{"id":1}', '{"id":2}'];
  await temp.store.loadFile(FILE, linesOf(texts));
  const announced = { ...FILE, sha256: sha256('{"id":1}\n{"id":2}\n') };
  const again = await temp.store.loadFile(announced, () => assert.fail("the file was read"));
  assert.deepEqual(again, { records: 2, skipped: true });
  assert.deepEqual(await temp.store.loadFile(FILE, linesOf(texts)), again);
  assert.equal((await temp.store.records.page("raw_users", {}, { limit: 10 })).length, 2);
});

Deno.test("another content for a file that is loaded already is refused, and what is loaded stays", async () => {
  await using temp = await tempStore();
  await temp.store.loadFile(FILE, linesOf(['{"id":1}']));
  for (const other of [FILE, { ...FILE, sha256: "b".repeat(64) }]) {
    await assert.rejects(temp.store.loadFile(other, linesOf(['{"id":2}'])), (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /another raw file was loaded already.*Start a new run/);
      return true;
    });
  }
  assert.deepEqual((await temp.store.records.page("raw_users", {}, { limit: 10 })).map((r) => r.record), [{
    id: 1,
  }]);
});

Deno.test("a failure at the end of a file leaves nothing of it, and it can be loaded afterwards", async () => {
  await using temp = await tempStore();
  const failing = async function* () {
    yield* linesOf(Array.from({ length: 5000 }, (_, id) => JSON.stringify({ id })))(() => {});
    throw new TransientError("the disk failed");
  };
  await assert.rejects(temp.store.loadFile(FILE, failing), /the disk failed/);
  assert.equal(await temp.store.records.count("raw_users"), 0);
  assert.deepEqual(await temp.store.records.page("raw_users", {}, { limit: 1 }), []);
  await temp.store.loadFile(FILE, linesOf(['{"id":1}']));
  assert.deepEqual((await temp.store.records.page("raw_users", {}, { limit: 9 })).map((r) => r.record_id), [
    1_000_000_001,
  ]);
});

Deno.test("another number of records than announced leaves nothing of the file", async () => {
  await using temp = await tempStore();
  await assert.rejects(
    temp.store.loadFile({ ...FILE, records: 3 }, linesOf(["{}", "{}"])),
    (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /it has 2 records, but 3 were announced/);
      return true;
    },
  );
  assert.deepEqual((await temp.store.runs.filesOf(["run-1"])).get("run-1"), []);
  assert.deepEqual(await temp.store.records.page("raw_users", {}, { limit: 1 }), []);
});

Deno.test("a load lets timers run, reports its progress, and stops when its signal is aborted", async () => {
  await using temp = await tempStore();
  const stop = new AbortController();
  let ticks = 0;
  const told: number[] = [];
  const timer = setInterval(() => {
    if (++ticks === 3) stop.abort(new Error("lease lost"));
  }, 1);
  const endless = async function* () {
    const lines = Array.from({ length: 1000 }, () => "{}");
    for (let first = 1;; first += lines.length) {
      yield await Promise.resolve({ first, lines, flaws: new Map() });
    }
  };
  await assert.rejects(
    temp.store.loadFile(FILE, endless, { signal: stop.signal, progress: (records) => told.push(records) }),
    /lease lost/,
  );
  clearInterval(timer);
  assert(told.length > 0);
  assert.deepEqual(told, told.map((_, i) => (i + 1) * 1000), "each report is a total");
  assert.deepEqual(await temp.store.records.page("raw_users", {}, { limit: 1 }), []);
});

Deno.test("a disk that is full in mid-load is transient and leaves nothing", async () => {
  await using temp = await tempStore();
  await temp.store.write((db) => db.script("PRAGMA max_page_count = 100"));
  const texts = Array.from({ length: 2000 }, (_, id) => JSON.stringify({ id, text: "x".repeat(1000) }));
  await assert.rejects(temp.store.loadFile(FILE, linesOf(texts)), TransientError);
  assert.deepEqual((await temp.store.runs.filesOf(["run-1"])).get("run-1"), []);
  await temp.store.write((db) => db.script("PRAGMA max_page_count = 100000"));
  assert.equal((await temp.store.loadFile(FILE, linesOf(texts))).records, 2000);
});

Deno.test("a load that meets the end of the disk gives back all it took, and is done once the disk is larger", async () => {
  await using owned = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "full-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = await smallDisk(folder, 6_000_000);
  if (disk === undefined) return; // this process may not mount
  owned.use(disk);
  await using store = await openSqlite(`${folder}/data.db`, { pipelines: usersTables([]) });
  const free = async () => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  };
  await store.tidy();
  const before = await free();
  const texts = Array.from({ length: 10_000 }, (_, id) => JSON.stringify({ id, text: "x".repeat(1000) }));
  await assert.rejects(store.loadFile(FILE, linesOf(texts)), NoSpace);
  assert.ok(await free() >= before - 100_000, `${before} bytes were free, ${await free()} are`);
  assert.deepEqual((await store.runs.filesOf(["run-1"])).get("run-1"), []);
  await disk.resize(60_000_000);
  assert.equal((await store.loadFile(FILE, linesOf(texts))).records, 10_000);
});
