/**
 * The views `raw_NAME`, `processed_NAME` and `invalid_NAME` of each pipeline: records as tables, personal fields masked. People read them with
 * `sqlite3`, so they work with SQLite 3.38.
 */
import { FILE_KINDS, type FileKind, type RecordTable } from "../../contracts/names.ts";
import { type Database, sqlName } from "../../sqlite/database.ts";
import { refreshCurrent } from "./current_table.ts";
import type { Defined, Shown } from "../shown.ts";
import { valueSql } from "./record_sql.ts";
import { columnName, refreshView } from "./view_sql.ts";
import { baseTable, fromRecords, TEXT, WITH_FILES } from "../sql/tables.ts";
import { fieldsOf, keepShown, ShownPipelines } from "../sql/shown.ts";
import { sqlOf } from "./statements.ts";
import { addFields, keyColumns, RECORD_META, selected } from "../sql/columns.ts";

/** Creates the tables of `pipelines`, and creates or replaces outdated views of all pipelines. Must run in a write transaction. */
export async function refreshViews(db: Database, pipelines: Iterable<Defined> = []): Promise<void> {
  const sql = sqlOf(db);
  for (const shown of pipelines) {
    await keepShown(sql, shown);
    if ((await fieldsOf(sql, shown.name)).length === 0) await addFields(sql, shown.name, shown.keys);
    for (const kind of FILE_KINDS) {
      const table = baseTable(kind, shown.name);
      db.script(
        `CREATE TABLE IF NOT EXISTS ${table} (id INTEGER PRIMARY KEY, json TEXT NOT NULL, same_as INTEGER) STRICT`,
      );
    }
  }
  for (const shown of (await new ShownPipelines(sql).get()).values()) {
    const fields = await fieldsOf(sql, shown.name);
    for (const kind of FILE_KINDS) {
      const table = baseTable(kind, shown.name);
      // older tables lack references
      if (!db.columns(`SELECT * FROM ${table}`).includes("same_as")) {
        db.script(`ALTER TABLE ${table} ADD COLUMN same_as INTEGER`);
      }
      refreshView(db, `${kind}_${shown.name}`, viewSql(kind, fields, shown));
    }
    refreshCurrent(db, shown, fields);
  }
}

/** The records of a kind as `r`, with their files as `f`. */
export function viewFrom(kind: FileKind, pipeline: string): string {
  return `FROM ${fromRecords(kind, pipeline)} ${WITH_FILES}`;
}

/** The statement that creates the view of a pipeline's records of a kind. */
function viewSql(kind: FileKind, fields: readonly string[], shown: Shown): string {
  const view: RecordTable = `${kind}_${shown.name}`;
  const columns = keyColumns(kind, fields, shown, columnName).map(({ key, name }) =>
    `${valueSql(key, shown.masks[kind].get(key), TEXT)} AS ${sqlName(name)}`
  );
  return `CREATE VIEW ${view} AS SELECT
  ${[...columns, selected(RECORD_META)].join(",\n  ")}
${viewFrom(kind, shown.name)}`;
}
