/**
 * Removes records and events of old runs from the store, in short transactions. Kept are records that the current state or a kept run refers to, and
 * uncorrected invalid records.
 */
import { isFinal, RUN_STATUSES } from "../../contracts/messages.ts";
import type { FileRow } from "../rows.ts";
import { STATE_COLUMNS } from "../run_state.ts";
import type { Stoppable } from "../store.ts";
import { type Sql, upsert } from "./sql.ts";
import { idsOf } from "./tables.ts";

/** Runs `work` in a write transaction. */
export type Transact = <T>(work: (sql: Sql) => Promise<T>, options?: Stoppable) => Promise<T>;

/** Runs whose events are removed per transaction. */
const RUNS_AT_ONCE = 50;

const FINAL = RUN_STATUSES.filter(isFinal).map((status) => `'${status}'`).join(", ");

/**
 * SQL over `run`: whether it was requested and loaded before the time bound to `$1`, has ended, and was applied to the current state, if there is
 * one.
 */
const OLD = `run.run_timestamp < $1 AND coalesce(run.loaded_at, '') < $1 AND run.status IN (${FINAL})
  AND (run.loaded_at IS NULL OR EXISTS (SELECT 1 FROM run_moves AS m WHERE m.run_id = run.run_id)
    OR EXISTS (SELECT 1 FROM pipelines AS p WHERE p.name = run.pipeline AND p.current IS NULL))`;

/**
 * The files whose records a trim would remove, except those still needed; oldest first. The newest file of each kind is kept: the next one refers to
 * it.
 */
export function goingFiles(sql: Sql, before: string): Promise<FileRow[]> {
  return sql.all<FileRow>(
    `SELECT f.* FROM run_files AS f JOIN etl_runs AS run ON run.run_id = f.run_id
     WHERE f.trimmed_at IS NULL AND f.loaded_at < $1 AND ${OLD}
       AND EXISTS (SELECT 1 FROM run_files AS n JOIN etl_runs AS newer ON newer.run_id = n.run_id
         WHERE n.pipeline = f.pipeline AND n.kind = f.kind AND n.id > f.id AND n.records > 0 AND newer.correction_of IS NULL)
     ORDER BY f.id`,
    before,
  );
}

/** Marks the files of old runs as trimmed. Returns the number of these runs. */
export function startTrim(
  transact: Transact,
  before: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  return transact(async (sql) => {
    signal?.throwIfAborted();
    const files = await goingFiles(sql, before);
    await sql.run(
      `UPDATE run_files SET trimmed_at = $1 WHERE ${sql.dialect.isIn("id", "$2", "bigint")}`,
      new Date().toISOString(),
      files.map(({ id }) => id),
    );
    return new Set(files.map(({ run_id }) => run_id)).size;
  }, { signal });
}

/** Selects the records of a trimmed file that are removed. */
interface Going {
  readonly file: FileRow;
  /** The table that they are in, as SQL. */
  readonly table: string;
  /** SQL: whether a record `r` is kept. */
  readonly isNeeded: string;
  /** Records examined per transaction. */
  readonly atOnce: number;
}

/** Removes the records of a file that aren't needed; returns their number. */
export async function trimFile(
  transact: Transact,
  { file: { id, pipeline, kept }, table, isNeeded, atOnce }: Going,
  signal: AbortSignal | undefined,
): Promise<number> {
  const [first, last] = idsOf(id);
  let removed = 0;
  for (let at: number | undefined = first; at !== undefined;) {
    signal?.throwIfAborted();
    const from: number = at;
    const step = await transact(async (sql) => {
      await sql.lock("pipeline", pipeline); // a concurrent load may be about to refer to one of the records
      const { end } = (await sql.get<{ end: number | null }>(
        `SELECT max(id) AS "end" FROM (SELECT id FROM ${table} WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT ${atOnce}) AS r`,
        from,
        last,
      ))!;
      const gone = end === null ? 0 : await sql.run(
        `DELETE FROM ${table} AS r WHERE r.id BETWEEN $1 AND $2 AND NOT (${isNeeded})`,
        from,
        end,
      );
      // writes nothing for a file examined before whose remaining records are all needed
      if (gone > 0 || (end === null && kept === null)) {
        await sql.run("UPDATE run_files SET kept = coalesce(kept, records) - $1 WHERE id = $2", gone, id);
      }
      return { gone, next: end === null ? undefined : end + 1 };
    }, { signal });
    removed += step.gone;
    at = step.next;
  }
  return removed;
}

/** Removes the events of old runs; returns their number. The state computed from them stays in the run's row, as the start for later events. */
export async function trimEvents(
  transact: Transact,
  before: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  for (let removed = 0;;) {
    signal?.throwIfAborted();
    const gone = await transact(async (sql) => {
      const runs = await sql.all<{ run_id: string }>(
        `SELECT run.run_id FROM etl_runs AS run WHERE ${OLD} AND run.status_at < $1
           AND EXISTS (SELECT 1 FROM run_events AS e WHERE e.run_id = run.run_id) ORDER BY run.run_id LIMIT ${RUNS_AT_ONCE}`,
        before,
      );
      let gone = 0;
      for (const { run_id } of runs) {
        await sql.lock("run", run_id);
        const state = await sql.get(
          `SELECT ${STATE_COLUMNS.join(", ")} FROM etl_runs WHERE run_id = $1`,
          run_id,
        );
        await upsert(sql, "run_states", ["run_id"], { run_id, state: JSON.stringify(state) });
        gone += await sql.run("DELETE FROM run_events WHERE run_id = $1", run_id);
      }
      return gone;
    }, { signal });
    if (gone === 0) return removed;
    removed += gone;
  }
}
