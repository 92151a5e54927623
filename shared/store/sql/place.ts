/**
 * The order of runs: request order, as a pipeline extracts one run at a time. A correction comes directly after the run that it corrects, as its
 * records are equally old.
 */
import { timeOfRun } from "../../contracts/ids.ts";
import type { Sql } from "./sql.ts";

/** A run's place in the order, relative to the runs loaded before. */
export interface Place {
  /** Sorts in this order. */
  readonly text: string;
  /** Whether a run with a later place was loaded before. */
  readonly isOvertaken: boolean;
  /** The id in `run_moves` of the newest complete run loaded before; null if there is none. */
  readonly completeBefore: number | null;
  /** Whether that complete run has a later place. */
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

/** SQL: whether the run that last held a row of a current table (its column `seen`) has a later place than the one bound to `parameter`. */
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

/** The time and the id of the run; for a correction, after those of the extracted run that it corrects. */
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
