/**
 * Removes records of old runs from the database, in short transactions, like `sqlite/trim.ts`. Kept are records that the current state refers to, and
 * uncorrected invalid records.
 */
import { FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import { type FileRow, LINES_PER_FILE, type Trimmed } from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Postgres } from "./connection.ts";
import { sqlText } from "./session.ts";
import { baseTable, currentTable, newestComplete } from "../sql/tables.ts";
import { ShownPipelines } from "../sql/shown.ts";
import { startTrim, type Transact, trimEvents, trimFile } from "../sql/trim.ts";

/** Ids examined per transaction. */
const IDS_AT_ONCE = 10_000;

/** Removes the records and the events of runs older than `before`. The server reuses the space. */
export async function trimRuns(
  db: Postgres,
  before: string,
  signal: AbortSignal | undefined,
): Promise<Trimmed> {
  const transact: Transact = (work) => db.transaction(work);
  const runs = await startTrim(transact, before, signal);
  let records = 0;
  for (const shown of (await new ShownPipelines(db).get()).values()) {
    for (const kind of FILE_KINDS) {
      const files = await db.all<FileRow>(
        `SELECT * FROM run_files WHERE pipeline = $1 AND kind = $2 AND trimmed_at IS NOT NULL AND coalesce(kept, records) > 0
         ORDER BY id`,
        shown.name,
        kind,
      );
      for (const file of files) {
        const isNeeded = isNeededSql(kind, shown, file.run_id);
        const going = { file, table: baseTable(kind, shown.name), isNeeded, atOnce: IDS_AT_ONCE };
        records += await trimFile(transact, going, signal);
      }
    }
  }
  return { runs, records, events: await trimEvents(transact, before, signal) };
}

/**
 * SQL: whether a record `r` of a trimmed file is kept. An invalid record is needed until it is corrected, or a later run holds its key as a valid
 * record. If a kept run holds identical bytes, they are kept there.
 */
function isNeededSql(kind: FileKind, { name, current }: Shown, runId: string): string {
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
