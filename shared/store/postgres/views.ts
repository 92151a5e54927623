/**
 * The views `raw_NAME`, `processed_NAME` and `invalid_NAME` of each pipeline: records as tables, personal fields masked. Columns of raw and invalid
 * records are text, as a source may write anything; those of processed records have the types of the definition.
 */
import { DEFAULT_PIPELINE, FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import type { Defined, Shown } from "../shown.ts";
import { refreshCurrent } from "./current_table.ts";
import { parsed, valueSql } from "./record_sql.ts";
import { type Session } from "./session.ts";
import { columnName, refreshView } from "./view_sql.ts";
import { baseTable, fromRecords, TEXT, WITH_FILES } from "../sql/tables.ts";
import { sqlName } from "../sql/sql.ts";
import { fieldsOf, keepShown, ShownPipelines } from "../sql/shown.ts";
import { addFields, keyColumns, RECORD_META, selected } from "../sql/columns.ts";

/**
 * Creates the tables of `pipelines`, and creates or replaces outdated views of all pipelines. Must run in a write transaction that holds the lock of
 * the schema.
 */
export async function refreshViews(db: Session, pipelines: Iterable<Defined> = []): Promise<void> {
  for (const shown of pipelines) {
    await keepShown(db, shown);
    if ((await fieldsOf(db, shown.name)).length === 0) await addFields(db, shown.name, shown.keys);
    if (shown.name === DEFAULT_PIPELINE) continue;
    for (const kind of FILE_KINDS) {
      await db.script(
        `CREATE TABLE IF NOT EXISTS ${baseTable(kind, shown.name)} (LIKE raw_records INCLUDING ALL)`,
      );
    }
  }
  for (const shown of (await new ShownPipelines(db).get()).values()) {
    const fields = await fieldsOf(db, shown.name);
    for (const kind of FILE_KINDS) {
      await refreshView(db, `${kind}_${shown.name}`, recordsSelect(kind, fields, shown));
    }
    await refreshCurrent(db, shown, fields);
  }
}

function recordsSelect(kind: FileKind, fields: readonly string[], shown: Shown): string {
  const types = new Map(
    kind === "processed" ? shown.current?.columns.map(({ keys, type }) => [keys.join("."), type]) : [],
  );
  const { key = [], keyType } = kind === "processed" ? shown.current ?? {} : {};
  if (keyType !== undefined) types.set(key.join("."), keyType);
  const columns = keyColumns(kind, fields, shown, columnName).map(({ key, name }) =>
    `${valueSql(key, shown.masks[kind].get(key), "x.v", types.get(key))} AS ${sqlName(name)}`
  );
  return `SELECT
  ${[...columns, selected(RECORD_META)].join(",\n  ")}
FROM ${fromRecords(kind, shown.name)} ${parsed(TEXT)} ${WITH_FILES}`;
}
