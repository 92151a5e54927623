/** Reads records from PostgreSQL. */
import type { FileKind } from "../../contracts/names.ts";
import type { OffsetPage, Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { keyColumns, RECORD_META } from "../sql/columns.ts";
import { lineOf, SqlRecords } from "../sql/records.ts";
import { fieldsOf } from "../sql/shown.ts";
import { baseTable, TEXT } from "../sql/tables.ts";
import { cellOf, recordOf } from "./cells.ts";
import { columnName } from "./view_sql.ts";

export class PostgresRecords extends SqlRecords {
  protected readonly nulLine = "coalesce(b.nul_line, r.nul_line)";

  protected hasReason(parameter: string): string {
    return `('; ' || (etl_record(${TEXT}) ->> 'error_reason')) COLLATE "C" ILIKE ${parameter}`;
  }

  protected async rowsOf(kind: FileKind, shown: Shown, { limit, offset }: OffsetPage): Promise<Table> {
    const columns = keyColumns(kind, await fieldsOf(this.db, shown.name), shown, columnName);
    // selects the ids of the page first, so that skipped rows aren't joined
    const ids = `SELECT id FROM ${baseTable(kind, shown.name)} ORDER BY id LIMIT $1 OFFSET $2`;
    const rows = await this.read(kind, shown.name, `WHERE r.id IN (${ids}) ORDER BY r.id`, [limit, offset]);
    return {
      columns: [...columns, ...RECORD_META].map(({ name }) => name),
      rows: rows.map((row) => {
        const record = recordOf(lineOf(row), shown.masks[kind]);
        const own = columns.map(({ key }) => cellOf(record, key));
        return [...own, row.run_id, row.line, row.insertion_date, row.record_id];
      }),
    };
  }
}
