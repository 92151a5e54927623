/**
 * Histories of runs, and the current state that they have to leave in any engine.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as z from "zod";
import { integer, pipeline } from "../../shared/pipeline/mod.ts";
import { planOf } from "../../shared/pipeline/plan.ts";
import { shownOf } from "../../shared/store/shown.ts";
import type { Store } from "../../shared/store/store.ts";
import { linesOf } from "./store.ts";

/** How a pipeline is loaded. */
export type Mode = "snapshot" | "upsert";

/** The pipeline `things`. */
export const thingsOf = (load: Mode) =>
  shownOf(planOf(pipeline({
    name: "things",
    record: z.object({ id: integer, name: z.string() }),
    key: "id",
    source: { url: "https://example.com/things", paging: { by: "none" } },
    load,
  })));

/**
 * The records of a run for a key: texts, or an invalid record. Several texts of one key are duplicates; the
 * last counts.
 */
interface Line {
  readonly id: number;
  readonly name: string | "invalid";
}

/** A run, or a correction of an earlier run's invalid records. */
interface Step {
  /** The index of the corrected run; undefined for a run of the source. */
  readonly corrects: number | undefined;
  readonly lines: readonly Line[];
  /** Whether the run is cancelled or rejected, so that it is never loaded. */
  readonly isCancelled: boolean;
}

export interface History {
  readonly mode: Mode;
  readonly steps: readonly Step[];
  /** The order of the loads, as sort keys. A run that is held or overtaken is loaded later. */
  readonly order: readonly number[];
  /** The step at which an attempt to load is killed; undefined if it isn't. */
  readonly kills: readonly (number | undefined)[];
  readonly repeats: readonly boolean[];
}

const line = fc.record({
  id: fc.integer({ min: 1, max: 5 }),
  name: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("a", "b", "c") },
    { weight: 1, arbitrary: fc.constant("invalid") },
  ),
});
const step = fc.record({
  corrects: fc.option(fc.nat(6), { nil: undefined, freq: 3 }),
  lines: fc.array(line, { maxLength: 6 }),
  isCancelled: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
});
const MOST = 7;
export const history: fc.Arbitrary<History> = fc.record({
  mode: fc.constantFrom<Mode>("snapshot", "snapshot", "upsert"),
  steps: fc.array(step, { minLength: 1, maxLength: MOST }),
  // mostly in order
  order: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: -4, max: 4 })), {
    minLength: MOST,
    maxLength: MOST,
  }),
  kills: fc.array(fc.option(fc.nat(8), { nil: undefined }), { minLength: MOST, maxLength: MOST }),
  repeats: fc.array(fc.boolean(), { minLength: MOST, maxLength: MOST }),
});

interface Run extends Step {
  readonly runId: string;
  readonly at: string;
  readonly root: Run | undefined;
}

const timeOf = (n: number) => Date.UTC(2026, 0, 1 + n);

function idOf(n: number): string {
  const time = timeOf(n).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(n).padStart(12, "0")}`;
}

/**
 * Returns the steps with ids and times. A correction is requested after all runs before it, and takes its
 * place behind the corrected run.
 */
function runsOf({ steps }: History): Run[] {
  const runs: Run[] = [];
  for (const [n, one] of steps.entries()) {
    const corrected = one.corrects === undefined ? undefined : runs[one.corrects];
    runs.push({
      ...one,
      // a run that was never loaded has no invalid records to correct
      isCancelled: one.isCancelled || corrected?.isCancelled === true,
      corrects: corrected === undefined ? undefined : one.corrects,
      runId: idOf(n),
      at: new Date(timeOf(n)).toISOString(),
      root: corrected === undefined ? undefined : corrected.root ?? corrected,
    });
  }
  return runs;
}

/**
 * Returns when each run is loaded, except for cancelled ones. The correction of a correction follows it,
 * because its invalid records are read from the database.
 */
function loadTimes({ order }: History, runs: readonly Run[]): Map<number, number> {
  const times = new Map<number, number>();
  for (const [n, { corrects, isCancelled }] of runs.entries()) {
    if (isCancelled) continue;
    const earliest = corrects !== undefined && runs[corrects]!.root !== undefined
      ? times.get(corrects)!
      : -Infinity;
    times.set(n, Math.max(n + order[n]!, earliest));
  }
  return times;
}

interface State {
  name: string;
  seen: string;
}

/** Returns the state after the loaded runs, applied in the order of extraction. */
function oracle(loaded: readonly Run[], mode: Mode): Map<number, State> {
  const place = (run: Run) => run.root === undefined ? run.runId : `${run.root.runId} ${run.runId}`;
  const state = new Map<number, State>();
  for (const run of loaded.toSorted((a, b) => place(a) < place(b) ? -1 : 1)) {
    const valid = new Map(
      run.lines.filter(({ name }) => name !== "invalid").map(({ id, name }) => [id, name]),
    );
    const invalid = new Set(run.lines.filter(({ name }) => name === "invalid").map(({ id }) => id));
    for (const [id, name] of valid) state.set(id, { name, seen: run.runId });
    if (mode === "upsert" || run.root !== undefined) continue;
    for (const id of [...state.keys()]) if (!valid.has(id) && !invalid.has(id)) state.delete(id);
  }
  return state;
}

/** Returns a signal that throws after `times` checks. */
function killer(times: number | undefined): AbortSignal {
  let left = times ?? Infinity;
  return {
    throwIfAborted() {
      if (left-- <= 0) throw new Error("killed");
    },
  } as AbortSignal;
}

async function load(store: Store, run: Run, kill: number | undefined): Promise<void> {
  const about = {
    runId: run.runId,
    pipeline: "things",
    at: run.at,
    correctionOf: run.corrects === undefined ? undefined : idOf(run.corrects),
  };
  const signal = killer(kill);
  const valid = run.lines.filter(({ name }) => name !== "invalid").map((one) => JSON.stringify(one));
  const invalid = run.lines.filter(({ name }) => name === "invalid").map(({ id }) =>
    JSON.stringify({ id, error_reason: "name: missing" })
  );
  await store.announceRun(about);
  for (const [kind, texts] of [["processed", valid], ["invalid", invalid]] as const) {
    const name = `data/${kind}_${run.runId}.jsonl`;
    await store.loadFile({ runId: run.runId, pipeline: "things", kind, name }, linesOf(texts), { signal });
  }
  await store.markLoaded({
    ...about,
    rawFile: "data/a",
    processedFile: "data/b",
    dlqFile: "data/c",
    validCount: valid.length,
    invalidCount: invalid.length,
    completeness: { announced: null, received: valid.length + invalid.length, missing: 0, repeated: 0 },
    fields: ["id", "name"],
  }, { signal });
}

async function stateOf({ current }: Store): Promise<Map<number, State>> {
  const rows = await current.page("things", {}, { limit: 100 });
  return new Map(
    rows.map(({ key, record, seen_run }) => [
      Number(key),
      { name: (record as { name: string }).name, seen: seen_run },
    ]),
  );
}

/** Applies all changes in turn and returns the result. Asserts that each change is possible. */
async function replayed({ current, records }: Store): Promise<Map<number, string | undefined>> {
  const names = new Map<number, string>();
  const known = new Set<number>();
  const rows = await current.changes("things", {}, { limit: 1_000 });
  const kept = await records.byIds(
    "processed",
    rows.flatMap(({ before, after }) => [before ?? [], after ?? []].flat()),
  );
  const nameOf = (id: number | null) =>
    id === null ? undefined : (kept.get(id)!.record as { name: string }).name;
  for (const { key: found, change, fields, ...ids } of rows) {
    const key = Number(found);
    const [before, after] = [nameOf(ids.before), nameOf(ids.after)];
    assert.equal(before, names.get(key), `${change} of ${key}`);
    assert.equal(change === "added", before === undefined && !known.has(key), `${change} of ${key}`);
    assert.equal(change === "restored", before === undefined && known.has(key), `${change} of ${key}`);
    assert.equal(change === "removed", after === undefined);
    assert.equal(change === "changed", before !== undefined && after !== undefined && before !== after);
    assert.deepEqual(fields, change === "changed" ? ["name"] : []);
    known.add(key);
    if (after === undefined) names.delete(key);
    else names.set(key, after);
  }
  return names;
}

/**
 * Loads the runs of a history into an empty store and compares the state after each. `check` checks what is
 * specific to an engine.
 */
export async function liveThrough(store: Store, given: History, check: () => Promise<void>): Promise<void> {
  const runs = runsOf(given);
  const at = loadTimes(given, runs);
  const loaded: Run[] = [];
  for (const n of at.keys().toArray().toSorted((a, b) => at.get(a)! - at.get(b)! || a - b)) {
    const run = runs[n]!;
    const kill = given.kills[n];
    if (kill !== undefined) {
      await load(store, run, kill).catch((error) => assert.equal(error.message, "killed"));
    }
    if (kill === undefined || !(await store.current.moves([run.runId])).has(run.runId)) {
      assert.deepEqual(
        await stateOf(store),
        sorted(oracle(loaded, given.mode)),
        "a load that was killed leaves nothing",
      );
      await load(store, run, undefined);
    }
    loaded.push(run);
    if (given.repeats[n]) await load(store, run, undefined);
    const wanted = sorted(oracle(loaded, given.mode));
    assert.deepEqual(await stateOf(store), wanted);
    assert.equal(await store.current.count("things"), wanted.size);
    const names = [...wanted].map(([id, { name }]) => [id, name]);
    assert.deepEqual([...sorted(await replayed(store))], names);
    await check();
  }
}

function sorted<T>(map: Map<number, T>): Map<number, T> {
  return new Map([...map].toSorted(([a], [b]) => a - b));
}
