/** SQL for the tables of records and of current states: which record holds a text, and which move a row refers to. */
import { DEFAULT_PIPELINE, type FileKind } from "../../contracts/names.ts";
import type { Mask } from "../mask.ts";
import { LINES_PER_FILE } from "../rows.ts";
import { type Sql, sqlName } from "./sql.ts";

/** The table of a pipeline's records of a kind, as SQL. */
export function baseTable(kind: FileKind, pipeline: string): string {
  const base = `${kind}_records`;
  return pipeline === DEFAULT_PIPELINE ? base : sqlName(`${base}$${pipeline}`); // no view has a name with a $
}

/** The records of a kind as `r`, each joined with `b`, the other record that holds its text, if any. */
export function fromRecords(kind: FileKind, pipeline: string): string {
  const table = baseTable(kind, pipeline);
  return `${table} AS r LEFT JOIN ${table} AS b ON b.id = r.same_as`;
}

/** The text of a record of `fromRecords`; in PostgreSQL with U+FFFD in place of NUL. */
export const TEXT = "coalesce(b.json, r.json)";

/** The id of the record that holds the text of a record of `fromRecords`. */
export const HOLDER = "coalesce(r.same_as, r.id)";

/** The id of a run's file of a kind; undefined if it isn't loaded. */
export async function fileIdOf(sql: Sql, runId: string, kind: FileKind): Promise<number | undefined> {
  const file = await sql.get<{ id: number }>(
    "SELECT id FROM run_files WHERE run_id = $1 AND kind = $2",
    runId,
    kind,
  );
  return file?.id;
}

/** The range of the ids of a file's records, for BETWEEN. */
export function idsOf(fileId: number): [first: number, last: number] {
  return [fileId * LINES_PER_FILE, (fileId + 1) * LINES_PER_FILE - 1];
}

/** Joins the files `f` of records `r`. */
// the second condition lets a query for one run use the range of its records; LEFT lets count(*) skip the files
export const WITH_FILES = `LEFT JOIN run_files AS f
  ON f.id = r.id / ${LINES_PER_FILE} AND r.id BETWEEN f.id * ${LINES_PER_FILE} AND f.id * ${LINES_PER_FILE} + ${
  LINES_PER_FILE - 1
}`;

/** The table of a pipeline's current state, as SQL. */
export function currentTable(pipeline: string): string {
  return sqlName(`current$${pipeline}`); // no view has a name with a $
}

/** The table of what changed in a pipeline's current state, as SQL. */
export function changesTable(pipeline: string): string {
  return sqlName(`changes$${pipeline}`);
}

/** A column of the row in `run_moves` with an id, as SQL. */
export function ofMove(column: string, id: string): string {
  return `(SELECT m.${column} FROM run_moves AS m WHERE m.id = ${id})`;
}

/** The id of the newest complete run of a pipeline in `run_moves`, as SQL. */
export function newestComplete(pipeline: string): string {
  return `(SELECT n.id FROM run_moves AS n WHERE n.pipeline = '${pipeline}' AND n.complete = 1 ORDER BY n.place DESC LIMIT 1)`;
}

/** The fields that a mask hides whole, with dots for nested ones. */
export function wholeOf(mask: Mask): string[] {
  return [...mask].flatMap(([key, rule]) =>
    rule === "whole" ? [key] : wholeOf(rule).map((below) => `${key}.${below}`)
  );
}
