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

/** Columns that follow the user's own keys in each view. */
const META = ["run_id", "line", "insertion_date", "record_id"];

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

/** The statement that makes the view of a pipeline's records of a kind. */
export function viewSql(kind: FileKind, fields: readonly string[], shown: Shown): string {
  const own = kind === "raw" ? [] : kind === "processed" ? shown.added : ["error_reason", "raw_line"];
  const masked = shown.masks[kind];
  const taken = new Set([...META, ...own]);
  const columns = [
    ...fields.filter((key) => !own.includes(key)).map((key) => ({ key, name: columnName(key, taken) })),
    ...own.map((key) => ({ key, name: key })),
  ].map(({ key, name }) => `${valueSql(key, masked.get(key), TEXT)} AS ${sqlName(name)}`);
  const view: RecordTable = `${kind}_${shown.name}`;
  // the second condition lets a query for one run go from the run's file to its range of records; LEFT lets count(*) skip the files
  return `CREATE VIEW ${view} AS SELECT
  ${
    [...columns, ""].join(",\n  ")
  }f.run_id AS run_id, r.id % ${LINES_PER_FILE} AS line, f.loaded_at AS insertion_date, r.id AS record_id
FROM ${fromRecords(kind, shown.name)} LEFT JOIN run_files AS f
  ON f.id = r.id / ${LINES_PER_FILE} AND r.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${
    LINES_PER_FILE - 1
  }`;
}
