/** The columns of the views of a pipeline: keys of its records first, columns of this program last. */
import type { FileKind } from "../../contracts/names.ts";
import type { CurrentShape } from "../current_shape.ts";
import { hides } from "../mask.ts";
import { LINES_PER_FILE } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { fieldsOf } from "./shown.ts";
import type { Sql } from "./sql.ts";
import { newestComplete, ofMove } from "./tables.ts";

/** Most keys of records with a column; with those of this program a view has at most 500 columns. */
const MOST_FIELDS = 490;

/** The longest key that gets a column. */
const LONGEST_FIELD = 1000;

/** Adds a column for each new top-level key of a pipeline, after the existing ones. Returns whether there were any. */
export async function addFields(sql: Sql, pipeline: string, fields: readonly string[]): Promise<boolean> {
  const known = await fieldsOf(sql, pipeline);
  const fresh = [...new Set(fields)].filter((field) =>
    field.length <= LONGEST_FIELD && !field.includes("\0") && field.isWellFormed() && !known.includes(field)
  ).slice(0, Math.max(0, MOST_FIELDS - known.length));
  for (const field of fresh) {
    await sql.run("INSERT INTO pipeline_fields (pipeline, name) VALUES ($1, $2)", pipeline, field);
  }
  return fresh.length > 0;
}

/** Names a column after a key; a number makes taken names unique. */
type ColumnName = (key: string, taken: Set<string>) => string;

/** The keys of records of a kind that have a column in its view, in order: added members come last. */
export function keyColumns(
  kind: FileKind,
  fields: readonly string[],
  shown: Shown,
  columnName: ColumnName,
): { key: string; name: string }[] {
  const own = kind === "raw" ? [] : kind === "processed" ? shown.added : ["error_reason", "raw_line"];
  return named(fields, own, new Set([...RECORD_META.map(({ name }) => name), ...own]), columnName);
}

/** The columns that follow them, of records `r` and their files `f`. */
export const RECORD_META: readonly { name: string; sql: string }[] = [
  { name: "run_id", sql: "f.run_id" },
  { name: "line", sql: `r.id % ${LINES_PER_FILE}` },
  { name: "insertion_date", sql: "f.loaded_at" },
  { name: "record_id", sql: "r.id" },
];

/** A column of the view `NAME`. */
interface ViewColumn {
  readonly name: string;
  /** The path of its value in the record. */
  readonly keys: readonly string[];
  /** The column of the current table that holds it; undefined if it is read from the record. */
  readonly column: string | undefined;
}

/** The columns of the view `NAME`, for rows `c` of the current table: top-level keys, and unmasked nested fields with a column in the table. */
export function currentColumns(
  shown: Shown,
  shape: CurrentShape,
  fields: readonly string[],
  columnName: ColumnName,
): ViewColumn[] {
  const mask = shown.masks.processed;
  const all = [shape.key, ...shape.columns.map(({ keys }) => keys)];
  const own = new Map(all.map((keys, n) => [keys.join("."), n === 0 ? "c.key" : `c.c${n - 1}`]));
  const taken = new Set([...currentMeta(shown.name).map(({ name }) => name), ...shown.added]);
  const top = named(fields, shown.added, taken, columnName);
  const nested = all.filter((keys) => keys.length > 1 && !hides(mask, keys));
  return [
    ...top.map(({ key, name }) => ({ name, keys: [key], column: mask.has(key) ? undefined : own.get(key) })),
    ...nested.map((keys) => {
      const field = keys.join(".");
      return { name: columnName(field, taken), keys, column: own.get(field) };
    }),
  ];
}

/** The columns that follow them. */
export function currentMeta(pipeline: string): { name: string; sql: string }[] {
  return [
    { name: "first_run", sql: ofMove("run_id", "c.first") },
    { name: "changed_run", sql: ofMove("run_id", "c.changed") },
    { name: "seen_run", sql: ofMove("run_id", `coalesce(c.seen, ${newestComplete(pipeline)})`) },
    { name: "changed_at", sql: ofMove("at", "c.changed") },
  ];
}

/** Columns as the list of a SELECT. */
export function selected(columns: readonly { name: string; sql: string }[]): string {
  return columns.map(({ name, sql }) => `${sql} AS ${name}`).join(", ");
}

function named(
  fields: readonly string[],
  own: readonly string[],
  taken: Set<string>,
  columnName: ColumnName,
): { key: string; name: string }[] {
  return [
    ...fields.filter((key) => !own.includes(key)).map((key) => ({ key, name: columnName(key, taken) })),
    ...own.map((key) => ({ key, name: key })),
  ];
}
