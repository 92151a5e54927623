/**
 * The views `raw_NAME`, `processed_NAME` and `invalid_NAME` of each pipeline: records as tables, personal fields masked. They are promised to people with
 * `sqlite3`, so they use nothing that SQLite 3.38 lacks.
 *
 * @module
 */
import { FILE_KINDS, type FileKind, type RecordTable } from "../../contracts/names.ts";
import { type Database, sqlName } from "../../sqlite/database.ts";
import { refreshCurrent } from "./current_table.ts";
import { LINES_PER_FILE } from "../rows.ts";
import type { Defined, Shown } from "../shown.ts";
import { baseTable, fromRecords, TEXT, valueSql } from "./record_sql.ts";
import { fieldsOf, keepShown, shownPipelines } from "./shown.ts";
import { columnName, refreshView } from "./view_sql.ts";

/** Keys of records that have a column; 500 columns with ours. */
const MOST_FIELDS = 490;

/** Keys that are longer have no column of their own. */
const LONGEST_FIELD = 1000;

/** Gives new top-level keys of a pipeline a column each, after those that are there. Answers whether there were any. */
export function addFields(db: Database, pipeline: string, fields: readonly string[]): boolean {
  let added = 0;
  for (const field of fields) {
    if (field.length > LONGEST_FIELD || field.includes("\0") || !field.isWellFormed()) continue;
    added += db.run(
      `INSERT INTO pipeline_fields (pipeline, name)
       SELECT ?1, ?2 WHERE (SELECT count(*) FROM pipeline_fields WHERE pipeline = ?1) < ${MOST_FIELDS}
       ON CONFLICT (pipeline, name) DO NOTHING`,
      pipeline,
      field,
    );
  }
  return added > 0;
}

/** Makes the tables of `pipelines`, and the views of all pipelines, where they differ from what is known. To be called in a write transaction. */
export function refreshViews(db: Database, pipelines: Iterable<Defined> = []): void {
  for (const shown of pipelines) {
    keepShown(db, shown);
    const isNew = db.get("SELECT 1 FROM pipeline_fields WHERE pipeline = ?", shown.name) === undefined;
    if (isNew) addFields(db, shown.name, shown.keys);
    for (const kind of FILE_KINDS) {
      const table = baseTable(kind, shown.name);
      db.script(
        `CREATE TABLE IF NOT EXISTS ${table} (id INTEGER PRIMARY KEY, json TEXT NOT NULL, same_as INTEGER) STRICT`,
      );
    }
  }
  for (const shown of shownPipelines(db).values()) {
    const fields = fieldsOf(db, shown.name);
    for (const kind of FILE_KINDS) {
      const table = baseTable(kind, shown.name);
      // older ones have no references
      if (!db.columns(`SELECT * FROM ${table}`).includes("same_as")) {
        db.script(`ALTER TABLE ${table} ADD COLUMN same_as INTEGER`);
      }
      refreshView(db, `${kind}_${shown.name}`, viewSql(kind, fields, shown));
    }
    refreshCurrent(db, shown, fields);
  }
}

/** The keys of records of a kind that have a column each in its view, in order. */
export function keyColumns(
  kind: FileKind,
  fields: readonly string[],
  shown: Shown,
): { key: string; name: string }[] {
  const own = kind === "raw" ? [] : kind === "processed" ? shown.added : ["error_reason", "raw_line"];
  const taken = new Set([...META_COLUMNS.map(({ name }) => name), ...own]);
  return [
    ...fields.filter((key) => !own.includes(key)).map((key) => ({ key, name: columnName(key, taken) })),
    ...own.map((key) => ({ key, name: key })),
  ];
}

/** The columns that follow them, of rows of `viewFrom`. */
export const META_COLUMNS: readonly { name: string; sql: string }[] = [
  { name: "run_id", sql: "f.run_id" },
  { name: "line", sql: `r.id % ${LINES_PER_FILE}` },
  { name: "insertion_date", sql: "f.loaded_at" },
  { name: "record_id", sql: "r.id" },
];

/** The records of a kind as `r`, with their files as `f`. */
export function viewFrom(kind: FileKind, pipeline: string): string {
  // the second condition lets a query for one run go from the run's file to its range of records; LEFT lets count(*) skip the files
  return `FROM ${fromRecords(kind, pipeline)} LEFT JOIN run_files AS f
  ON f.id = r.id / ${LINES_PER_FILE} AND r.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${
    LINES_PER_FILE - 1
  }`;
}

/** The statement that makes the view of a pipeline's records of a kind. */
function viewSql(kind: FileKind, fields: readonly string[], shown: Shown): string {
  const view: RecordTable = `${kind}_${shown.name}`;
  const columns = keyColumns(kind, fields, shown).map(({ key, name }) =>
    `${valueSql(key, shown.masks[kind].get(key), TEXT)} AS ${sqlName(name)}`
  );
  return `CREATE VIEW ${view} AS SELECT
  ${[...columns, META_COLUMNS.map(({ name, sql }) => `${sql} AS ${name}`).join(", ")].join(",\n  ")}
${viewFrom(kind, shown.name)}`;
}
