/**
 * Removes records of old runs from the database, in short transactions. Kept are records that the current state or a kept run refers to, and
 * uncorrected invalid records.
 */
import { FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import { givesBack } from "./growth.ts";
import type { SqliteStore } from "./open.ts";
import { keySql } from "./record_sql.ts";
import type { FileRow, Trimmed } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { baseTable, currentTable, fromRecords, HOLDER, idsOf, newestComplete, TEXT } from "../sql/tables.ts";
import { startTrim, type Transact, trimEvents, trimFile } from "../sql/trim.ts";

/** Rows removed or examined per transaction. */
const ROWS_AT_ONCE = 2_000;

/** Rows rewritten per transaction. */
const ROWS_PACKED = 250;

/** Records are rewritten compactly once fewer than this share of them remain. */
const PACKED_BELOW = 0.8;

/** Pages freed per transaction. */
const PAGES_AT_ONCE = 128;

/** Removes the records and the events of runs older than `before`, and returns the space to the disk. */
export async function trimRuns(
  store: SqliteStore,
  before: string,
  signal: AbortSignal | undefined,
): Promise<Trimmed> {
  const transact: Transact = (work, options) => store.transaction(work, options);
  const runs = await startTrim(transact, before, signal);
  let records = 0;
  const pipelines = (await store.records.pipelines()).values();
  for (const shown of pipelines) {
    for (const kind of FILE_KINDS) records += await trimRecords(store, shown, kind, signal);
  }
  const events = await trimEvents(transact, before, signal);
  await giveBack(store, signal);
  return { runs, records, events };
}

/** Removes the records of the trimmed files of a kind that aren't needed. */
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
  // a later load can refer only to these records, or to those of a kept file
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
    const going = { file, table, isNeeded: "r.id IN (SELECT id FROM temp.needed)", atOnce: ROWS_AT_ONCE };
    removed += await trimFile((work, options) => store.transaction(work, options), going, signal);
    await packFile(store, table, file, signal);
  }
  await store.write((db) => db.script("DROP TABLE temp.needed"));
  return removed;
}

/** Rewrites the remaining records of a file compactly if many were removed. SQLite leaves pages half empty; only this frees them. */
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
 * An invalid record is needed until it is corrected, or a later run holds its key as a valid record. If a kept run holds identical bytes, they are
 * kept there.
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

/** Returns free pages to the disk, if the mode of the database allows it. */
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
