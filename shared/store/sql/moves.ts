/** Moves: what each run did to the current state of its pipeline, in request order. */
import type { CurrentShape } from "../current_shape.ts";
import { type Place, placeOf } from "./place.ts";
import { ShownPipelines } from "./shown.ts";
import type { Sql } from "./sql.ts";
import { baseTable, changesTable, currentTable, fileIdOf, idsOf } from "./tables.ts";

/** A run whose files are all loaded. */
export interface MovingRun {
  readonly runId: string;
  readonly pipeline: string;
}

/** A range of consecutive record ids. */
export type IdRange = readonly [first: number, last: number];

/** A run that is being applied to the current state. */
export interface Move {
  readonly pipeline: string;
  readonly shape: CurrentShape;
  /** Its id in `run_moves`. */
  readonly id: number;
  readonly place: Place;
  /** Whether keys that it doesn't hold no longer exist at the source. */
  readonly isComplete: boolean;
  /** Whether it becomes the newest complete run. */
  readonly isNewest: boolean;
  /** The tables of its pipeline, as SQL. */
  readonly current: string;
  readonly changes: string;
  readonly processed: string;
  /** The ids of its valid records. */
  readonly range: IdRange;
}

/**
 * Begins the move of a run. Undefined if its pipeline has no current state, the run was applied before, or its file isn't loaded. `isWhole` is SQL
 * over `run`: whether our extractor asked for everything, and got all announced records.
 */
export async function beginMove(sql: Sql, run: MovingRun, isWhole: string): Promise<Move | undefined> {
  const { runId, pipeline } = run;
  const shape = (await new ShownPipelines(sql).get()).get(pipeline)?.current;
  if (!shape) return undefined;
  if (await sql.get("SELECT 1 FROM run_moves WHERE run_id = $1", runId) !== undefined) return undefined;
  const range = await rangeOf(sql, runId, "processed", pipeline);
  if (range === undefined) return undefined;
  const place = await placeOf(sql, runId, pipeline);
  const isComplete = shape.load === "snapshot" && await sql.get(
        `SELECT 1 FROM etl_runs AS run WHERE run_id = $1 AND correction_of IS NULL AND since IS NULL AND ${isWhole}`,
        runId,
      ) !== undefined;
  const { id } = (await sql.get<{ id: number }>(
    "INSERT INTO run_moves (run_id, pipeline, place, complete, at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    runId,
    pipeline,
    place.text,
    isComplete,
    new Date().toISOString(),
  ))!;
  return {
    pipeline,
    shape,
    id,
    place,
    isComplete,
    isNewest: isComplete && !place.isBehindComplete,
    current: currentTable(pipeline),
    changes: changesTable(pipeline),
    processed: baseTable("processed", pipeline),
    range,
  };
}

/** Stores how many keys a run added, changed, removed and restored. */
export async function endMove(sql: Sql, { id, changes }: Move): Promise<void> {
  await sql.run(
    `UPDATE run_moves SET (added, changed, removed, restored) = (
       SELECT count(*) FILTER (WHERE change = 'added'), count(*) FILTER (WHERE change = 'changed'),
         count(*) FILTER (WHERE change = 'removed'), count(*) FILTER (WHERE change = 'restored')
       FROM ${changes} WHERE move = $1) WHERE id = $1`,
    id,
  );
}

/** The value of `seen` for keys that the run holds. NULL for the newest complete run, so most rows needn't be written. */
export function seenNow({ id, isNewest }: Move): number | null {
  return isNewest ? null : id;
}

/** The loaded runs that haven't been applied to the current state, in request order. */
export function unmoved(sql: Sql): Promise<MovingRun[]> {
  return sql.all<MovingRun>(
    `SELECT run.run_id AS "runId", run.pipeline FROM etl_runs AS run JOIN pipelines AS p ON p.name = run.pipeline
     WHERE run.loaded_at IS NOT NULL AND p.current IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM run_moves AS m WHERE m.run_id = run.run_id) ORDER BY run.run_timestamp, run.id`,
  );
}

/** The ids of a run's records of a kind; undefined if the file isn't loaded. */
export async function rangeOf(
  sql: Sql,
  runId: string,
  kind: "processed" | "invalid",
  pipeline: string,
): Promise<IdRange | undefined> {
  const file = await fileIdOf(sql, runId, kind);
  if (file === undefined) return undefined;
  const [first, last] = idsOf(file);
  const found = await sql.get<{ last: number | null }>(
    `SELECT max(id) AS last FROM ${baseTable(kind, pipeline)} WHERE id BETWEEN $1 AND $2`,
    first,
    last,
  );
  return [first + 1, found?.last ?? first];
}
