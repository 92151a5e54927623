/**
 * The order of runs: that in which they were asked for, as a pipeline extracts one at a time. A correction stands behind the run that it corrects
 * and before the next one: its records are as old.
 *
 * @module
 */
import { timeOfRun } from "../../contracts/ids.ts";
import type { Database } from "../../sqlite/database.ts";

/** A run's place in the order, seen from the runs that were loaded before. */
export interface Place {
  /** Sorts as the order does. */
  readonly text: string;
  /** Whether a run with a later place was loaded before. */
  readonly isOvertaken: boolean;
  /** The newest complete run that was loaded before, in `run_moves`; null where there is none. */
  readonly completeBefore: number | null;
  /** Whether that one has a later place. */
  readonly isBehindComplete: boolean;
  /** SQL: whether the run that `seen` names has a later place than the one that is bound to `parameter`. */
  isAfter(seen: string, parameter: string): string;
  /** The complete runs with a later place, in order. */
  newerComplete(): string[];
}

/** The place of a run that isn't in `run_moves` yet. */
export function placeOf(db: Database, runId: string, pipeline: string): Place {
  const text = textOf(db, runId);
  const newest = db.get<{ id: number; place: string }>(
    "SELECT id, place FROM run_moves WHERE pipeline = ? AND complete = 1 ORDER BY place DESC LIMIT 1",
    pipeline,
  );
  const isOvertaken = db.get(
    "SELECT 1 FROM run_moves WHERE pipeline = ? AND place > ? LIMIT 1",
    pipeline,
    text,
  ) !== undefined;
  const completeBefore = newest?.id ?? null;
  return {
    text,
    isOvertaken,
    completeBefore,
    isBehindComplete: newest !== undefined && newest.place > text,
    isAfter: (seen, parameter) =>
      `coalesce((SELECT m.place FROM run_moves AS m WHERE m.id = coalesce(${seen}, ${completeBefore})) > ${parameter}, 0)`,
    newerComplete: () =>
      db.all<{ run_id: string }>(
        "SELECT run_id FROM run_moves WHERE pipeline = ? AND complete = 1 AND place > ? ORDER BY place",
        pipeline,
        text,
      ).map(({ run_id }) => run_id),
  };
}

/** The time and the id of the run, behind those of the run that was extracted and that it corrects. */
function textOf(db: Database, runId: string): string {
  const find = (id: string) =>
    db.get<{ run_timestamp: string; correction_of: string | null }>(
      "SELECT run_timestamp, correction_of FROM etl_runs WHERE run_id = ?",
      id,
    );
  const own = find(runId);
  const at = own?.run_timestamp ?? timeOfRun(runId) ?? "";
  const known = new Set<string>();
  let root = runId;
  for (let run = own; run?.correction_of != null && !known.has(run.correction_of); run = find(root)) {
    root = run.correction_of;
    known.add(root);
  }
  const rootAt = find(root)?.run_timestamp ?? timeOfRun(root) ?? at;
  return root === runId ? `${at} ${runId}` : `${rootAt} ${root} ${at} ${runId}`;
}
