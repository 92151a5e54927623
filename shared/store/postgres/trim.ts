/**
 * Records of old runs leave the database, each step a short transaction of its own, as in `sqlite/trim.ts`. What is needed stays: records that the
 * current state refers to, and invalid records that nobody has corrected.
 *
 * @module
 */
import { isFinal, RUN_STATUSES } from "../../contracts/messages.ts";
import { FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import { type FileRow, LINES_PER_FILE, type Trimmed } from "../rows.ts";
import { STATE_COLUMNS } from "../run_state.ts";
import type { Shown } from "../shown.ts";
import type { Postgres } from "./connection.ts";
import { currentTable, newestComplete } from "./current_table.ts";
import { lockFor } from "./locks.ts";
import { baseTable, idsOf } from "./record_sql.ts";
import { type Session, sqlText } from "./session.ts";
import { ShownPipelines } from "./shown.ts";

/** Ids that one transaction looks at. */
const IDS_AT_ONCE = 10_000;

/** Runs whose events one transaction removes. */
const RUNS_AT_ONCE = 50;

const FINAL = RUN_STATUSES.filter(isFinal).map(sqlText).join(", ");

/**
 * The runs, as SQL over `run`, that were asked for and loaded before the time that is bound to `$1`, have ended, and have moved the current state,
 * where there is one.
 */
const OLD = `run.run_timestamp < $1 AND coalesce(run.loaded_at, '') < $1 AND run.status IN (${FINAL})
  AND (run.loaded_at IS NULL OR EXISTS (SELECT 1 FROM run_moves AS m WHERE m.run_id = run.run_id)
    OR EXISTS (SELECT 1 FROM pipelines AS p WHERE p.name = run.pipeline AND p.current IS NULL))`;

/** The files whose records `trimRuns` would remove, oldest first, but for those that are needed. The newest file of each kind stays. */
export function goingFiles(session: Session, before: string): Promise<FileRow[]> {
  return session.all<FileRow>(
    `SELECT f.* FROM run_files AS f JOIN etl_runs AS run ON run.run_id = f.run_id
     WHERE f.trimmed_at IS NULL AND f.loaded_at < $1 AND ${OLD}
       AND EXISTS (SELECT 1 FROM run_files AS n JOIN etl_runs AS newer ON newer.run_id = n.run_id
         WHERE n.pipeline = f.pipeline AND n.kind = f.kind AND n.id > f.id AND n.records > 0 AND newer.correction_of IS NULL)
     ORDER BY f.id`,
    before,
  );
}

/** Removes the records and the events of runs that are older than `before`. The server uses the room again. */
export async function trimRuns(
  db: Postgres,
  before: string,
  signal: AbortSignal | undefined,
): Promise<Trimmed> {
  const runs = await db.transaction(async (session) => {
    const files = await goingFiles(session, before);
    await session.run(
      "UPDATE run_files SET trimmed_at = $1 WHERE id = ANY ($2::bigint[])",
      new Date().toISOString(),
      files.map(({ id }) => id),
    );
    return new Set(files.map(({ run_id }) => run_id)).size;
  });
  let records = 0;
  for (const shown of (await new ShownPipelines(db).get()).values()) {
    for (const kind of FILE_KINDS) {
      const files = await db.all<FileRow>(
        `SELECT * FROM run_files WHERE pipeline = $1 AND kind = $2 AND trimmed_at IS NOT NULL AND coalesce(kept, records) > 0
         ORDER BY id`,
        shown.name,
        kind,
      );
      for (const file of files) records += await trimFile(db, shown, kind, file, signal);
    }
  }
  return { runs, records, events: await trimEvents(db, before, signal) };
}

async function trimFile(
  db: Postgres,
  shown: Shown,
  kind: FileKind,
  { id, run_id }: FileRow,
  signal: AbortSignal | undefined,
): Promise<number> {
  const table = baseTable(kind, shown.name);
  const [first, last] = idsOf(id);
  let removed = 0;
  for (let at = first; at <= last;) {
    signal?.throwIfAborted();
    const step = await db.transaction(async (session) => {
      // a run that is being loaded may be about to refer to one of the records
      await lockFor(session, "pipeline", shown.name);
      const { end } = (await session.get<{ end: number | null }>(
        `SELECT max(id) AS end FROM (SELECT id FROM ${table} WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT ${IDS_AT_ONCE}) AS r`,
        at,
        last,
      ))!;
      if (end === null) return undefined;
      const gone = await session.run(
        `DELETE FROM ${table} AS r WHERE r.id BETWEEN $1 AND $2 AND NOT (${isNeeded(kind, shown, run_id)})`,
        at,
        end,
      );
      await session.run(
        "UPDATE run_files SET kept = coalesce(kept, records) - $1 WHERE id = $2",
        gone,
        id,
      );
      return { gone, next: end + 1 };
    });
    if (step === undefined) break;
    removed += step.gone;
    at = step.next;
  }
  return removed;
}

/**
 * Whether a record `r` of a trimmed file stays, as SQL. An invalid record is needed until it was corrected, or a later run held its key as a valid
 * record; one that a kept run holds again, to the byte, is kept there.
 */
function isNeeded(kind: FileKind, { name, current }: Shown, runId: string): string {
  if (kind === "raw") return "false";
  const table = currentTable(name);
  if (kind === "processed") {
    return current === null ? "false" : `EXISTS (SELECT 1 FROM ${table} AS c WHERE c.record = r.id)`;
  }
  const place = (id: string) => `(SELECT m.place FROM run_moves AS m WHERE m.id = ${id})`;
  const isValidSince = current === null ? "false" : `EXISTS (SELECT 1 FROM ${table} AS c
    WHERE c.key = etl_key(etl_record(r.json), ARRAY[${current.key.map(sqlText).join(", ")}])
      AND ${place(`coalesce(c.seen, ${newestComplete(name)})`)} >
        (SELECT m.place FROM run_moves AS m WHERE m.run_id = ${sqlText(runId)}))`;
  return `NOT EXISTS (SELECT 1 FROM record_corrections AS k WHERE k.invalid_record_id = r.id)
    AND md5(r.json) NOT IN (SELECT md5(k.json) FROM run_files AS f JOIN ${baseTable("invalid", name)} AS k
      ON k.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${LINES_PER_FILE - 1}
      WHERE f.pipeline = ${sqlText(name)} AND f.kind = 'invalid' AND f.trimmed_at IS NULL)
    AND NOT ${isValidSince}`;
}

/** What followed from the events stays in the run's row, and is kept for events that come later. */
async function trimEvents(
  db: Postgres,
  before: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const state = STATE_COLUMNS.map((column) => `'${column}', ${column}`).join(", ");
  for (let removed = 0;;) {
    signal?.throwIfAborted();
    const runs = await db.all<{ run_id: string }>(
      `SELECT run.run_id FROM etl_runs AS run WHERE ${OLD} AND run.status_at < $1
         AND EXISTS (SELECT 1 FROM run_events AS e WHERE e.run_id = run.run_id) ORDER BY run.run_id LIMIT ${RUNS_AT_ONCE}`,
      before,
    );
    if (runs.length === 0) return removed;
    removed += await db.transaction(async (session) => {
      let gone = 0;
      for (const { run_id } of runs) {
        await lockFor(session, "run", run_id);
        await session.run(
          `INSERT INTO run_states (run_id, state) SELECT run_id, json_build_object(${state})::text FROM etl_runs WHERE run_id = $1
           ON CONFLICT (run_id) DO UPDATE SET state = excluded.state`,
          run_id,
        );
        gone += await session.run("DELETE FROM run_events WHERE run_id = $1", run_id);
      }
      return gone;
    });
  }
}
