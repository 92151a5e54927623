import assert from "node:assert/strict";
import { statfs } from "node:fs/promises";
import { smallDisk } from "../../../tests/support/tmpfs.ts";
import { NoSpace, TransientError } from "../../errors/errors.ts";
import { splitLines } from "../../files/lines.ts";
import { openSqlite } from "./open.ts";
import { linesOf, tempStore, usersTables } from "../../../tests/support/store.ts";
import type { FileToLoad } from "../writes.ts";

const FILE: FileToLoad = {
  runId: "run-1",
  pipeline: "users",
  kind: "raw",
  name: "data/raw_users/records_20261124_030000.jsonl",
};

Deno.test("bytes of a file are kept line by line: line ends of both kinds, doubled ones, blanks, bytes that aren't UTF-8", async () => {
  await using temp = await tempStore();
  const good = '\ufeff{"id":1}\r\n\r\n \u00a0\n"ключ 😀"\n\n{"a":"\u0000"}\rx\n\u3000 é\n{"id":2}';
  const chunks = [good, "\n\u00ff", "\n", "z".repeat(70_000), "\r\r\nend"].map((text) =>
    new TextEncoder().encode(text)
  );
  chunks.splice(2, 0, new Uint8Array([0xff, 0xfe]));
  const lines = (size: number) =>
    splitLines(async function* () {
      const all = await new Blob(chunks).bytes();
      for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
    }());
  for (const [n, size] of [7, 64, 1_000_000].entries()) {
    const runId = `run-${n}`;
    const wanted: string[] = [];
    for await (const batch of lines(size)) wanted.push(...batch.lines.filter((line) => line.trim() !== ""));
    await temp.store.loadFile({ ...FILE, runId }, async function* (onEnd) {
      yield* lines(size);
      onEnd({ name: FILE.name, bytes: 1, sha256: "" });
    });
    const [file] = (await temp.store.runs.filesOf([runId])).get(runId)!;
    const kept = await Array.fromAsync(temp.store.records.unmaskedLines(file!));
    assert.deepEqual(kept.map(({ text }) => text), wanted);
    assert.deepEqual(kept.map(({ line }) => line), [1, 4, 6, 7, 8, 9, 10, 11]);
  }
});

Deno.test("a load lets timers run, so that it can be stopped", async () => {
  await using temp = await tempStore();
  const stop = new AbortController();
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks === 3) stop.abort(new Error("lease lost"));
  }, 1);
  const endless = async function* () {
    const lines = Array.from({ length: 1000 }, () => "{}");
    for (let first = 1;; first += lines.length) {
      yield await Promise.resolve({ first, lines, flaws: new Map() });
    }
  };
  await assert.rejects(temp.store.loadFile(FILE, endless, { signal: stop.signal }), /lease lost/);
  clearInterval(timer);
});

Deno.test("a disk that fills up during a load is a transient failure and leaves nothing", async () => {
  await using temp = await tempStore();
  await temp.store.write((db) => db.script("PRAGMA max_page_count = 100"));
  const texts = Array.from({ length: 2000 }, (_, id) => JSON.stringify({ id, text: "x".repeat(1000) }));
  await assert.rejects(temp.store.loadFile(FILE, linesOf(texts)), TransientError);
  assert.deepEqual((await temp.store.runs.filesOf(["run-1"])).get("run-1"), []);
  await temp.store.write((db) => db.script("PRAGMA max_page_count = 100000"));
  assert.equal((await temp.store.loadFile(FILE, linesOf(texts))).records, 2000);
});

Deno.test("a load that fills the disk gives back all its space, and completes once the disk is larger", async () => {
  await using owned = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "full-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = await smallDisk(folder, 6_000_000);
  if (disk === undefined) return; // this process can't mount
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
