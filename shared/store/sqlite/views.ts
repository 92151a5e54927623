/**
 * The views `raw_NAME`, `processed_NAME` and `invalid_NAME` of each pipeline: records as tables, personal fields masked. They are promised to people with
 * `sqlite3`, so they use nothing that SQLite 3.38 lacks.
 *
 * @module
 */
import { DEFAULT_PIPELINE, FILE_KINDS, type FileKind, type RecordTable } from "../../contracts/names.ts";
import { type Database, sqlName, sqlText } from "../../sqlite/database.ts";
import { isPlainKey, type Mask, MASKED } from "../mask.ts";
import { type Defined, keepShown, type Shown, shownPipelines } from "./shown.ts";

/** Ids of a file's records: the file's id times this, plus the line. */
export const LINES_PER_FILE = 1_000_000_000;

/** Keys of records that have a column; 500 columns with ours. */
const MOST_FIELDS = 490;

/** Keys that are longer have no column of their own. */
const LONGEST_FIELD = 1000;

/** Column names are cut to this. */
const LONGEST_COLUMN = 120;

/** Columns that follow the user's own keys in each view. */
const META = ["run_id", "line", "insertion_date", "record_id"];

/** The table of a pipeline's records of a kind, as SQL. */
export function baseTable(kind: FileKind, pipeline: string): string {
  const base = `${kind}_records`;
  return pipeline === DEFAULT_PIPELINE ? base : sqlName(`${base}$${pipeline}`); // no view has a name with a $
}

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
      db.script(
        `CREATE TABLE IF NOT EXISTS ${
          baseTable(kind, shown.name)
        } (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT`,
      );
    }
  }
  for (const shown of shownPipelines(db).values()) {
    const fields = db.all<{ name: string }>(
      "SELECT name FROM pipeline_fields WHERE pipeline = ? ORDER BY position",
      shown.name,
    ).map(({ name }) => name);
    for (const kind of FILE_KINDS) {
      const view = `${kind}_${shown.name}`;
      const wanted = viewSql(kind, fields, shown);
      const found = db.get<{ sql: string }>(
        "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?",
        view,
      );
      if (found?.sql !== wanted) db.script(`DROP VIEW IF EXISTS ${view}; ${wanted}`);
    }
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
  ].map(({ key, name }) => `${valueSql(key, masked.get(key))} AS ${sqlName(name)}`);
  const view: RecordTable = `${kind}_${shown.name}`;
  // the second condition lets a query for one run go from the run's file to its range of records; LEFT lets count(*) skip the files
  return `CREATE VIEW ${view} AS SELECT
  ${
    [...columns, ""].join(",\n  ")
  }f.run_id AS run_id, r.id % ${LINES_PER_FILE} AS line, f.loaded_at AS insertion_date, r.id AS record_id
FROM ${baseTable(kind, shown.name)} AS r LEFT JOIN run_files AS f
  ON f.id = r.id / ${LINES_PER_FILE} AND r.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${
    LINES_PER_FILE - 1
  }`;
}

/** A column's name: the key, or, where a name is taken already (SQLite's names ignore case), the key with a number. */
function columnName(key: string, taken: Set<string>): string {
  const base = key === "" ? "(empty)" : key.slice(0, LONGEST_COLUMN).toWellFormed();
  let name = base;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${base}_${n}`;
  taken.add(name.toLowerCase());
  return name;
}

/** The value of a top-level key. A raw line may be no JSON at all, which must not make the whole query fail. */
function valueSql(key: string, rule: "whole" | Mask | undefined): string {
  const value = isPlainKey(key) ? `json_extract(r.json, ${path(key)})` : valueOfStrangeKey(key);
  if (rule === "whole") return guarded(`iif(${value} IS NULL, NULL, '${MASKED}')`);
  if (rule !== undefined) {
    return guarded(
      `CASE json_type(r.json, ${path(key)}) WHEN 'null' THEN NULL WHEN 'object' THEN ${
        maskedObject(key, rule)
      } ` +
        `ELSE iif(${value} IS NULL, NULL, '${MASKED}') END`,
    );
  }
  if (!isPlainKey(key)) return guarded(value);
  // a whole number of more than 64 bits is shown as the text that it is, not rounded
  return `CASE WHEN NOT json_valid(r.json) THEN NULL ` +
    `WHEN typeof(${value}) = 'real' AND json_type(r.json, ${path(key)}) = 'integer' THEN r.json -> ${
      path(key)
    } ` +
    `ELSE ${value} END`;
}

function guarded(value: string): string {
  return `CASE WHEN json_valid(r.json) THEN ${value} END`;
}

/**
 * The object's text with its masked fields replaced; it is then searched, and hidden completely where a value is still there that
 * should not be: a path finds only the first of two equal keys, older versions miss keys that are written with escapes, and a parent may
 * be no object.
 */
function maskedObject(key: string, mask: Mask): string {
  const replacements = leaves(mask).map((keys) =>
    `, ${path(...keys)}, iif(json_type(r.json, ${path(key, ...keys)}) = 'null', NULL, '${MASKED}')`
  );
  return `(SELECT iif(${leaks("m.x", mask, 1)}, '${MASKED}', m.x) FROM ` +
    `(SELECT json_replace(json_extract(r.json, ${path(key)})${replacements.join("")}) AS x) AS m)`;
}

function leaves(mask: Mask): string[][] {
  return [...mask].flatMap(([key, rule]) =>
    rule === "whole" ? [[key]] : leaves(rule).map((below) => [key, ...below])
  );
}

/** Whether the object `json` holds anything that `mask` hides. */
function leaks(json: string, mask: Mask, depth: number): string {
  const e = `e${depth}`;
  const cases = [...mask].map(([key, rule]) =>
    `WHEN ${e}.key = ${sqlText(key)} THEN ` +
    (rule === "whole"
      ? `${e}.value IS NOT '${MASKED}'`
      : `CASE ${e}.type WHEN 'object' THEN ${leaks(`${e}.value`, rule, depth + 1)} ELSE 1 END`)
  );
  return `EXISTS (SELECT 1 FROM json_each(${json}) AS ${e} WHERE CASE WHEN ${e}.type = 'null' THEN 0 ${
    cases.join(" ")
  } END)`;
}

function path(...keys: string[]): string {
  return sqlText(`$${keys.map((key) => `."${key}"`).join("")}`);
}

function valueOfStrangeKey(key: string): string {
  return `(SELECT e.value FROM json_each(r.json) AS e WHERE e.key = ${sqlText(key)} LIMIT 1)`;
}
