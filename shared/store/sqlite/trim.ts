/**
 * Records of old runs leave the database, each step a short transaction of its own. What is needed stays: records that the current state or a
 * kept run refers to, and invalid records that nobody has corrected.
 *
 * @module
 */
import { isFinal, RUN_STATUSES } from "../../contracts/messages.ts";
import { FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import type { Database } from "../../sqlite/database.ts";
import { currentTable, newestComplete } from "./current_table.ts";
import { givesBack } from "./growth.ts";
import type { SqliteStore } from "./open.ts";
import { baseTable, fromRecords, HOLDER, idsOf, keySql, TEXT } from "./record_sql.ts";
import type { FileRow, Trimmed } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { shownPipelines } from "./shown.ts";

/** Rows that one transaction removes, or looks at. */
const ROWS_AT_ONCE = 2_000;

/** Rows that one transaction writes close together. */
const ROWS_PACKED = 250;

/** Records are written close together once fewer than this share of them are left. */
const PACKED_BELOW = 0.8;

/** Pages that one transaction gives back to the disk. */
const PAGES_AT_ONCE = 128;

const FINAL = JSON.stringify(RUN_STATUSES.filter(isFinal));

/**
 * The runs, as SQL over `run`, that were asked for and loaded before the time that is bound to `?1`, have ended, and have moved the current state,
 * where there is one.
 */
const OLD = `run.run_timestamp < ?1 AND coalesce(run.loaded_at, '') < ?1
  AND run.status IN (SELECT value FROM json_each('${FINAL}'))
  AND (run.loaded_at IS NULL OR EXISTS (SELECT 1 FROM run_moves AS m WHERE m.run_id = run.run_id)
    OR EXISTS (SELECT 1 FROM pipelines AS p WHERE p.name = run.pipeline AND p.current IS NULL))`;

/** The files, as SQL, of old runs whose records are there. The newest file of each kind stays, as the next one refers to it. */
const GOING = `SELECT f.* FROM run_files AS f JOIN etl_runs AS run ON run.run_id = f.run_id
  WHERE f.trimmed_at IS NULL AND f.loaded_at < ?1 AND ${OLD}
    AND EXISTS (SELECT 1 FROM run_files AS n JOIN etl_runs AS newer ON newer.run_id = n.run_id
      WHERE n.pipeline = f.pipeline AND n.kind = f.kind AND n.id > f.id AND n.records > 0 AND newer.correction_of IS NULL)`;

/** The files whose records `trimRuns` would remove, oldest first, but for those that are still needed. */
export function goingFiles(db: Database, before: string): FileRow[] {
  return db.all<FileRow>(`${GOING} ORDER BY f.id`, before);
}

/** Removes the records and the events of runs that are older than `before`, and gives the room back to the disk. */
export async function trimRuns(
  store: SqliteStore,
  before: string,
  signal: AbortSignal | undefined,
): Promise<Trimmed> {
  const runs = await store.write((db) => {
    const files = goingFiles(db, before);
    const now = new Date().toISOString();
    for (const { id } of files) db.run("UPDATE run_files SET trimmed_at = ? WHERE id = ?", now, id);
    return new Set(files.map(({ run_id }) => run_id)).size;
  }, { signal });
  let records = 0;
  const pipelines = await store.write((db) => [...shownPipelines(db).values()]);
  for (const shown of pipelines) {
    for (const kind of FILE_KINDS) records += await trimRecords(store, shown, kind, signal);
  }
  const events = await trimEvents(store, before, signal);
  await giveBack(store, signal);
  return { runs, records, events };
}

/** Removes what isn't needed of the trimmed files of a kind. */
async function trimRecords(
  store: SqliteStore,
  shown: Shown,
  kind: FileKind,
  signal: AbortSignal | undefined,
): Promise<number> {
  const files = await store.write((db) =>
    db.all<FileRow & { isKept: 0 | 1 }>(
      `SELECT *, trimmed_at IS NULL AS isKept FROM run_files
       WHERE pipeline = ? AND kind = ? AND (trimmed_at IS NULL OR coalesce(kept, records) > 0) ORDER BY id`,
      shown.name,
      kind,
    )
  );
  const trimmed = files.filter(({ isKept }) => isKept === 0);
  if (trimmed.length === 0) return 0;
  const table = baseTable(kind, shown.name);
  await store.write((db) => {
    db.script(
      "DROP TABLE IF EXISTS temp.needed; CREATE TEMP TABLE needed (id INTEGER PRIMARY KEY)",
    );
    if (kind === "processed" && shown.current !== null) {
      db.run(`INSERT OR IGNORE INTO temp.needed SELECT record FROM ${currentTable(shown.name)}`);
    }
  }, { signal });
  // no later load refers to another record than to one of these, or to one of a kept file
  for (const { id } of files.filter(({ isKept }) => isKept === 1)) {
    await store.write((db) =>
      db.run(
        `INSERT OR IGNORE INTO temp.needed SELECT same_as FROM ${table} WHERE id BETWEEN ? AND ? AND same_as IS NOT NULL`,
        ...idsOf(id),
      ), { signal });
  }
  if (kind === "invalid") { for (const file of trimmed) await needUnresolved(store, shown, file, signal); }
  let removed = 0;
  for (const file of trimmed) {
    removed += await trimFile(store, table, file, signal);
    await packFile(store, table, file, signal);
  }
  await store.write((db) => db.script("DROP TABLE temp.needed"));
  return removed;
}

async function trimFile(
  store: SqliteStore,
  table: string,
  { id }: FileRow,
  signal: AbortSignal | undefined,
): Promise<number> {
  const [first, last] = idsOf(id);
  let removed = 0;
  for (let at = first; at <= last;) {
    const step = await store.write((db) => {
      const end = db.get<{ id: number | null }>(
        `SELECT max(id) AS id FROM (SELECT id FROM ${table} WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${ROWS_AT_ONCE})`,
        at,
        last,
      )!.id;
      const gone = end === null ? 0 : db.run(
        `DELETE FROM ${table} WHERE id BETWEEN ? AND ? AND id NOT IN (SELECT id FROM temp.needed)`,
        at,
        end,
      );
      db.run(
        "UPDATE run_files SET kept = coalesce(kept, records) - ? WHERE id = ? AND (kept IS NULL OR ? > 0)",
        gone,
        id,
        gone,
      );
      return { gone, next: (end ?? last) + 1, isLast: end === null };
    }, { signal });
    removed += step.gone;
    if (step.isLast) break;
    at = step.next;
  }
  return removed;
}

/**
 * Writes what is left of a file close together, where much is gone: the pages of what was removed here and there are free only then. SQLite itself
 * leaves them half empty.
 */
async function packFile(
  store: SqliteStore,
  table: string,
  { id, records }: FileRow,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [first, last] = idsOf(id);
  const { kept, packed } = await store.write((db) =>
    db.get<{ kept: number; packed: number | null }>("SELECT kept, packed FROM run_files WHERE id = ?", id)!
  );
  if (kept > PACKED_BELOW * (packed ?? records)) return;
  for (let at = first; at <= last;) {
    const next = await store.write((db) => {
      db.script(
        `CREATE TEMP TABLE packing AS SELECT * FROM ${table} WHERE id BETWEEN ${at} AND ${last} ORDER BY id LIMIT ${ROWS_PACKED}`,
      );
      const end = db.get<{ id: number | null }>("SELECT max(id) AS id FROM temp.packing")!.id;
      db.run(`DELETE FROM ${table} WHERE id IN (SELECT id FROM temp.packing)`);
      db.run(`INSERT INTO ${table} SELECT * FROM temp.packing ORDER BY id`);
      db.script("DROP TABLE temp.packing");
      return end === null ? last + 1 : end + 1;
    }, { signal });
    at = next;
  }
  await store.write((db) => db.run("UPDATE run_files SET packed = kept WHERE id = ?", id), { signal });
}

/**
 * An invalid record is needed until it was corrected, or a later run held its key as a valid record. One that a kept run holds again, to the byte,
 * is kept there.
 */
async function needUnresolved(
  store: SqliteStore,
  { name, current }: Shown,
  { id, run_id }: FileRow,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isValidSince = current === null ? "0" : `EXISTS (SELECT 1 FROM ${currentTable(name)} AS c
    WHERE c.key = ${keySql(current.key, TEXT)}
      AND (SELECT m.place FROM run_moves AS m WHERE m.id = coalesce(c.seen, ${newestComplete(name)})) >
        (SELECT m.place FROM run_moves AS m WHERE m.run_id = ?3))`;
  await store.write((db) => {
    db.script("CREATE TEMP TABLE unresolved (id INTEGER PRIMARY KEY, holder INTEGER NOT NULL)");
    db.run(
      `INSERT INTO temp.unresolved SELECT r.id, ${HOLDER} FROM ${fromRecords("invalid", name)}
       WHERE r.id BETWEEN ?1 AND ?2
         AND NOT EXISTS (SELECT 1 FROM record_corrections AS k WHERE k.invalid_record_id = r.id)
         AND NOT EXISTS (SELECT 1 FROM temp.needed AS n WHERE n.id = ${HOLDER})
         AND NOT ${isValidSince}`,
      ...idsOf(id),
      ...current === null ? [] : [run_id],
    );
    db.script(
      `INSERT OR IGNORE INTO temp.needed SELECT id FROM temp.unresolved;
       INSERT OR IGNORE INTO temp.needed SELECT holder FROM temp.unresolved;
       DROP TABLE temp.unresolved`,
    );
  }, { signal });
}

/** What followed from the events stays in the run's row, and is kept for events that come later. */
async function trimEvents(
  store: SqliteStore,
  before: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  let removed = 0;
  for (;;) {
    const gone = await store.write((db) => {
      const runs = db.all<{ run_id: string }>(
        `SELECT run.run_id FROM etl_runs AS run WHERE ${OLD} AND run.status_at < ?1
           AND EXISTS (SELECT 1 FROM run_events AS e WHERE e.run_id = run.run_id) ORDER BY run.id LIMIT 50`,
        before,
      );
      let gone = 0;
      for (const { run_id } of runs) {
        db.run(
          `INSERT OR REPLACE INTO run_states (run_id, state)
           SELECT run_id, json_object('status', status, 'status_at', status_at, 'pipeline', pipeline, 'source', source, 'since', since,
             'completeness', completeness, 'requested_by', requested_by, 'started_at', started_at, 'finished_at', finished_at,
             'correction_of', correction_of, 'superseded_by', superseded_by, 'failure_phase', failure_phase,
             'failure_reason', failure_reason, 'failure_retryable', failure_retryable, 'delivery_state', delivery_state,
             'delivery_error', delivery_error, 'delivered_at', delivered_at) FROM etl_runs WHERE run_id = ?`,
          run_id,
        );
        gone += db.run("DELETE FROM run_events WHERE run_id = ?", run_id);
      }
      return gone;
    }, { signal });
    removed += gone;
    if (gone === 0) return removed;
  }
}

/** Gives free pages back to the disk, where the database was made to do so. */
async function giveBack(store: SqliteStore, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    const left = await store.write((db) => {
      if (!givesBack(db)) return 0;
      db.all(`PRAGMA incremental_vacuum(${PAGES_AT_ONCE})`);
      return db.get<{ freelist_count: number }>("PRAGMA freelist_count")!.freelist_count;
    }, { signal });
    await store.tidy();
    if (left === 0) return;
  }
}
