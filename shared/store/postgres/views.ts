/**
 * The views `raw_NAME`, `processed_NAME` and `invalid_NAME` of each pipeline: records as tables, personal fields masked. A source may write anything:
 * columns of raw and invalid records are text, those of processed ones what the definition says.
 *
 * @module
 */
import { DEFAULT_PIPELINE, FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import { LINES_PER_FILE } from "../rows.ts";
import type { Defined, Shown } from "../shown.ts";
import { refreshCurrent } from "./current_table.ts";
import { baseTable, fromRecords, parsed, TEXT, valueSql } from "./record_sql.ts";
import { type Session, sqlName } from "./session.ts";
import { fieldsOf, keepShown, ShownPipelines } from "./shown.ts";
import { columnName, refreshView } from "./view_sql.ts";

/** Keys of records that have a column; 500 columns with ours. */
const MOST_FIELDS = 490;

/** Keys that are longer have no column of their own. */
const LONGEST_FIELD = 1000;

/** Columns that follow the user's own keys in each view. */
export const RECORD_META = ["run_id", "line", "insertion_date", "record_id"];

/** Gives new top-level keys of a pipeline a column each, after those that are there. Answers whether there were any. */
export async function addFields(db: Session, pipeline: string, fields: readonly string[]): Promise<boolean> {
  const known = await fieldsOf(db, pipeline);
  const fresh = [...new Set(fields)].filter((field) =>
    field.length <= LONGEST_FIELD && !field.includes("\0") && field.isWellFormed() && !known.includes(field)
  ).slice(0, Math.max(0, MOST_FIELDS - known.length));
  for (const field of fresh) {
    await db.run("INSERT INTO pipeline_fields (pipeline, name) VALUES ($1, $2)", pipeline, field);
  }
  return fresh.length > 0;
}

/**
 * Makes the tables of `pipelines`, and the views of all pipelines, where they differ from what is known. To be called in a write transaction that
 * holds the lock of the schema.
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

/** The keys that a pipeline or the transformer adds to records of a kind, which get the last columns. */
export function addedKeys(kind: FileKind, shown: Shown): readonly string[] {
  return kind === "raw" ? [] : kind === "processed" ? shown.added : ["error_reason", "raw_line"];
}

function recordsSelect(kind: FileKind, fields: readonly string[], shown: Shown): string {
  const own = addedKeys(kind, shown);
  const types = new Map(
    kind === "processed" ? shown.current?.columns.map(({ keys, type }) => [keys.join("."), type]) : [],
  );
  const { key = [], keyType } = kind === "processed" ? shown.current ?? {} : {};
  if (keyType !== undefined) types.set(key.join("."), keyType);
  const taken = new Set([...RECORD_META, ...own]);
  const columns = [
    ...fields.filter((key) => !own.includes(key)).map((key) => ({ key, name: columnName(key, taken) })),
    ...own.map((key) => ({ key, name: key })),
  ].map(({ key, name }) =>
    `${valueSql(key, shown.masks[kind].get(key), "x.v", types.get(key))} AS ${sqlName(name)}`
  );
  // the second condition lets a query for one run go from the run's file to its range of records; LEFT lets count(*) skip the files
  return `SELECT
  ${
    [...columns, ""].join(",\n  ")
  }f.run_id AS run_id, r.id % ${LINES_PER_FILE} AS line, f.loaded_at AS insertion_date, r.id AS record_id
FROM ${fromRecords(kind, shown.name)} ${parsed(TEXT)} LEFT JOIN run_files AS f
  ON f.id = r.id / ${LINES_PER_FILE} AND r.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${
    LINES_PER_FILE - 1
  }`;
}
