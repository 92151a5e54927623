/** Reads records from SQLite. */
import type { FileKind } from "../../contracts/names.ts";
import type { Database } from "../../sqlite/database.ts";
import type { OffsetPage, Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { keyColumns, RECORD_META } from "../sql/columns.ts";
import { SqlRecords } from "../sql/records.ts";
import { fieldsOf, type ShownPipelines } from "../sql/shown.ts";
import { baseTable, TEXT } from "../sql/tables.ts";
import { plainRows } from "./plain_rows.ts";
import { sqlOf } from "./statements.ts";
import { columnName } from "./view_sql.ts";
import { viewFrom } from "./views.ts";

export class SqliteRecords extends SqlRecords {
  /** `node:sqlite` cuts a text at its first NUL. */
  protected readonly nulLine = `iif(instr(${TEXT}, char(0)) > 0, CAST(${TEXT} AS BLOB), NULL)`;

  constructor(private readonly database: Database, shown: ShownPipelines) {
    super(sqlOf(database), shown);
  }

  protected hasReason(parameter: string): string {
    const reasons = `json_extract(iif(json_valid(${TEXT}), ${TEXT}, '{}'), '$.error_reason')`;
    return `('; ' || ${reasons}) LIKE ${parameter} ESCAPE '\\'`;
  }

  protected async rowsOf(kind: FileKind, shown: Shown, page: OffsetPage): Promise<Table> {
    const fields = await fieldsOf(this.db, shown.name);
    const columns = [...keyColumns(kind, fields, shown, columnName), ...RECORD_META];
    const view = `${kind}_${shown.name}`;
    const ids = `SELECT id FROM ${baseTable(kind, shown.name)} ORDER BY id LIMIT ? OFFSET ?`;
    return plainRows(this.database, columns, {
      id: "r.id",
      text: TEXT,
      rest: `${viewFrom(kind, shown.name)} WHERE r.id IN (${ids}) ORDER BY r.id`,
      mask: shown.masks[kind],
      view: `SELECT * FROM ${view} ORDER BY record_id LIMIT ? OFFSET ?`,
      viewOf: `SELECT record_id, * FROM ${view} WHERE record_id IN (SELECT value FROM json_each(?))`,
    }, page);
  }
}
