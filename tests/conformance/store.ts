/**
 * The test cases that every engine of the store has to pass.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import type { Defined } from "../../shared/store/shown.ts";
import type { ReadStore, Store } from "../../shared/store/store.ts";
import type { FileToLoad, LineSource } from "../../shared/store/writes.ts";
import { linesOf, usersTables } from "../support/store.ts";
import { currentCases } from "./store_current.ts";
import { recordCases } from "./store_records.ts";

export interface StoreEngine {
  /** Opens a new, empty store. */
  open(pipelines?: readonly Defined[]): Promise<OpenStore>;
  /**
   * Kills an engine that runs as a separate process, as a power cut would, and restarts it. Writes in
   * progress are lost.
   */
  readonly kill?: () => Promise<void>;
}

/** An open store. Disposing of it removes its data. */
export interface OpenStore extends AsyncDisposable {
  readonly store: Store;
  /** Opens the same database as a process on another machine would. The caller closes it. */
  another(): Promise<Store>;
  /** Opens the same database as a reader does. The caller closes it. */
  reader(): Promise<ReadStore>;
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const FILE: FileToLoad = {
  runId: "run-1",
  pipeline: "users",
  kind: "raw",
  name: "data/raw_users/records_20261124_030000.jsonl",
};

/** Returns all texts of a run's file, with their line numbers. */
async function textsOf(store: Store, runId = FILE.runId): Promise<[number, string][]> {
  const [file] = (await store.runs.filesOf([runId])).get(runId)!;
  if (file === undefined) return [];
  return (await Array.fromAsync(store.records.unmaskedLines(file))).map(({ line, text }) => [line, text]);
}

/** Returns lines that stop halfway until `go` is called. Those sent before are not committed yet. */
export function pausedLines(
  lines: readonly string[],
): { source: LineSource; reached: Promise<void>; go: () => void } {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const half = Math.ceil(lines.length / 2);
  const source: LineSource = async function* (onEnd) {
    yield { first: 1, lines: lines.slice(0, half), flaws: new Map() };
    reached.resolve();
    await gate.promise;
    yield { first: half + 1, lines: lines.slice(half), flaws: new Map() };
    const whole = lines.map((line) => `${line}\n`).join("");
    onEnd({ name: "data/lines.jsonl", bytes: whole.length, sha256: sha256(whole) });
  };
  return { source, reached: reached.promise, go: gate.resolve };
}

/** Runs a case with a new store. */
export type UsingStore = (name: string, work: (opened: OpenStore) => Promise<void>) => Promise<boolean>;

/** Runs all cases as steps of `t`, each with a new store. */
export async function storeConformance(t: Deno.TestContext, engine: StoreEngine): Promise<void> {
  const usingStore: UsingStore = (name, work) =>
    t.step(name, async () => {
      const [users] = usersTables(["ssn"]);
      await using opened = await engine.open([{
        ...users!,
        current: { ...users!.current!, index: ["firstName"] },
      }]);
      await work(opened);
    });

  await usingStore(
    "records keep their text and the number of their line; blank lines count as lines alone",
    async ({ store }) => {
      const texts = [
        '{"id": 1}',
        "",
        "not json",
        "  ",
        '{"id":9007199254740993, "x":1.0}',
        'tab\tand \\ and \\N and \\. and "\\u0000"',
        "\\.",
        "carriage\rreturn",
        "ключ 😀",
        ...[131_000, 131_000, 131_054, 200_000].map((length) => "x".repeat(length)),
        "y\t".repeat(100_000),
      ];
      assert.deepEqual(await store.loadFile(FILE, linesOf(texts, 2)), { records: 12, skipped: false });
      assert.deepEqual(
        await textsOf(store),
        texts.flatMap((text, n) => text.trim() === "" ? [] : [[n + 1, text]]),
      );
      const [file] = (await store.runs.filesOf(["run-1"])).get("run-1")!;
      assert.deepEqual([file!.sha256, file!.records, file!.removed_at], [
        sha256(texts.join("\n") + "\n"),
        12,
        null,
      ]);
      assert.ok(Math.abs(Date.parse(file!.loaded_at) - Date.now()) < 60_000);
    },
  );

  await usingStore(
    "a loaded file isn't loaded again, and not even read if its checksum was announced",
    async ({ store }) => {
      const texts = ['{"id":1}', '{"id":2}'];
      await store.loadFile(FILE, linesOf(texts));
      const announced = { ...FILE, sha256: sha256('{"id":1}\n{"id":2}\n') };
      const again = await store.loadFile(announced, () => assert.fail("the file was read"));
      assert.deepEqual(again, { records: 2, skipped: true });
      assert.deepEqual(await store.loadFile(FILE, linesOf(texts)), again);
      assert.equal((await textsOf(store)).length, 2);
    },
  );

  await usingStore(
    "another content for a loaded file is refused, and the loaded content stays",
    async ({ store }) => {
      await store.loadFile(FILE, linesOf(['{"id":1}']));
      for (const other of [FILE, { ...FILE, sha256: "b".repeat(64) }]) {
        await assert.rejects(store.loadFile(other, linesOf(['{"id":2}'])), (error: unknown) => {
          assert.ok(error instanceof PermanentError, String(error));
          assert.match(error.message, /another raw file was loaded already.*Start a new run/);
          return true;
        });
      }
      assert.deepEqual(await textsOf(store), [[1, '{"id":1}']]);
    },
  );

  await usingStore(
    "a load that ends in the middle of a file leaves nothing of it, and the file can be loaded afterwards",
    async ({ store }) => {
      const stop = new AbortController();
      const thousand = Array.from({ length: 1000 }, () => "{}");
      const failing: LineSource = async function* () {
        yield* linesOf(Array.from({ length: 5000 }, (_, id) => JSON.stringify({ id })))(() => {});
        throw new TransientError("the disk failed");
      };
      const endless: LineSource = async function* () {
        for (let first = 1;; first += thousand.length) {
          if (first > 20_000) stop.abort(new Error("lease lost"));
          yield await Promise.resolve({ first, lines: thousand, flaws: new Map() });
        }
      };
      await assert.rejects(store.loadFile(FILE, failing), /the disk failed/);
      await assert.rejects(
        store.loadFile({ ...FILE, records: 3 }, linesOf(["{}", "{}"])),
        (error: unknown) => {
          assert.ok(error instanceof PermanentError);
          assert.match(error.message, /it has 2 records, but 3 were announced/);
          return true;
        },
      );
      const reported: number[] = [];
      await assert.rejects(
        store.loadFile(FILE, endless, { signal: stop.signal, progress: (records) => reported.push(records) }),
        /lease lost/,
      );
      assert.deepEqual(reported, reported.map((_, i) => (i + 1) * 1000), "each report is a total");
      assert.deepEqual((await store.runs.filesOf(["run-1"])).get("run-1"), []);
      assert.equal(await store.records.count("raw_users"), 0);
      assert.deepEqual(await store.records.page("raw_users", {}, { limit: 1 }), []);
      await store.loadFile(FILE, linesOf(['{"id":1}']));
      assert.deepEqual(await textsOf(store), [[1, '{"id":1}']]);
    },
  );

  await usingStore(
    "readers never wait for a load, and see nothing of it before its end",
    async ({ store, reader }) => {
      await using reading = await reader();
      const before = await reading.version();
      const paused = pausedLines(Array.from({ length: 2000 }, (_, id) => JSON.stringify({ id })));
      const load = store.loadFile(FILE, paused.source);
      await paused.reached;
      assert.deepEqual(await reading.records.page("raw_users", {}, { limit: 1 }), []);
      assert.equal(await reading.records.count("raw_users"), 0);
      paused.go();
      await load;
      assert.equal(await reading.records.count("raw_users"), 2000);
      assert.notEqual(await reading.version(), before);
      assert.equal(await reading.version(), await reading.version());
    },
  );

  await usingStore("two savers that load one file at once load it once", async ({ store, another }) => {
    await using other = await another();
    const texts = Array.from({ length: 3000 }, (_, id) => JSON.stringify({ id }));
    const paused = pausedLines(texts);
    const first = store.loadFile(FILE, paused.source);
    await paused.reached;
    const second = other.loadFile(FILE, linesOf(texts));
    paused.go();
    const loads = await Promise.all([first, second]);
    assert.deepEqual(loads.map(({ skipped }) => skipped), [false, true]);
    assert.equal((await textsOf(store)).length, 3000);
    assert.equal(await store.records.count("raw_users"), 3000);
  });

  const { kill } = engine;
  // an engine within the saver ends with the saver: see saver/load_test.ts
  if (kill !== undefined) {
    await usingStore(
      "an engine killed in the middle of a load keeps nothing of it, and the load is repeated",
      async ({ store }) => {
        const texts = Array.from(
          { length: 20_000 },
          (_, id) => JSON.stringify({ id, text: "x".repeat(100) }),
        );
        await store.loadFile({ ...FILE, kind: "invalid" }, linesOf(["{}"]));
        const paused = pausedLines(texts);
        const load = assert.rejects(store.loadFile(FILE, paused.source), TransientError);
        await paused.reached;
        await kill();
        paused.go();
        await load;
        assert.deepEqual((await store.runs.filesOf(["run-1"])).get("run-1")!.map(({ kind }) => kind), [
          "invalid",
        ]);
        assert.equal((await store.loadFile(FILE, linesOf(texts))).records, 20_000);
        assert.equal((await store.records.page("raw_users", {}, { limit: 30_000 })).length, 20_000);
      },
    );
  }
  await recordCases(usingStore);
  await currentCases(usingStore);
}
