/**
 * The order of runs: that in which they were asked for, as a pipeline extracts one at a time. A correction stands behind the run that it corrects
 * and before the next one: its records are as old.
 *
 * @module
 */
import { timeOfRun } from "../../contracts/ids.ts";
import type { Sql } from "./sql.ts";

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
}

/** The place of a run that isn't in `run_moves` yet. */
export async function placeOf(sql: Sql, runId: string, pipeline: string): Promise<Place> {
  const text = await textOf(sql, runId);
  const newest = await sql.get<{ id: number; place: string }>(
    "SELECT id, place FROM run_moves WHERE pipeline = $1 AND complete = 1 ORDER BY place DESC LIMIT 1",
    pipeline,
  );
  const later = await sql.get(
    "SELECT 1 FROM run_moves WHERE pipeline = $1 AND place > $2 LIMIT 1",
    pipeline,
    text,
  );
  return {
    text,
    isOvertaken: later !== undefined,
    completeBefore: newest?.id ?? null,
    isBehindComplete: newest !== undefined && newest.place > text,
  };
}

/** SQL: whether the run that last held a row of a current table (its column `seen`) has a later place than the one that is bound to `parameter`. */
export function isAfter({ completeBefore }: Place, seen: string, parameter: string): string {
  return `coalesce((SELECT m.place FROM run_moves AS m WHERE m.id = coalesce(${seen}, ${
    completeBefore ?? "NULL"
  })) > ${parameter}, false)`;
}

/** The complete runs with a later place, in order. */
export async function newerComplete(sql: Sql, pipeline: string, { text }: Place): Promise<string[]> {
  const rows = await sql.all<{ run_id: string }>(
    "SELECT run_id FROM run_moves WHERE pipeline = $1 AND complete = 1 AND place > $2 ORDER BY place",
    pipeline,
    text,
  );
  return rows.map(({ run_id }) => run_id);
}

/** The time and the id of the run, behind those of the run that was extracted and that it corrects. */
async function textOf(sql: Sql, runId: string): Promise<string> {
  const find = (id: string) =>
    sql.get<{ run_timestamp: string; correction_of: string | null }>(
      "SELECT run_timestamp, correction_of FROM etl_runs WHERE run_id = $1",
      id,
    );
  const own = await find(runId);
  const at = own?.run_timestamp ?? timeOfRun(runId) ?? "";
  const known = new Set<string>();
  let [root, run] = [runId, own];
  while (run?.correction_of != null && !known.has(run.correction_of)) {
    root = run.correction_of;
    known.add(root);
    run = await find(root);
  }
  const rootAt = run?.run_timestamp ?? timeOfRun(root) ?? at;
  return root === runId ? `${at} ${runId}` : `${rootAt} ${root} ${at} ${runId}`;
}
