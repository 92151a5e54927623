/**
 * SQL over the text of a record: where it stands, and what is read of it.
 *
 * @module
 */
import { DEFAULT_PIPELINE, type FileKind } from "../../contracts/names.ts";
import type { CurrentColumn } from "../current_shape.ts";
import { type Mask, MASKED } from "../mask.ts";
import { LINES_PER_FILE } from "../rows.ts";
import { sqlName, sqlText } from "./session.ts";

/** The table of a pipeline's records of a kind, as SQL. */
export function baseTable(kind: FileKind, pipeline: string): string {
  const base = `${kind}_records`;
  return pipeline === DEFAULT_PIPELINE ? base : sqlName(`${base}$${pipeline}`); // no view has a name with a $
}

/** The records of a kind as `r`, each with the one that holds its text as `b`, where that is another. */
export function fromRecords(kind: FileKind, pipeline: string): string {
  const table = baseTable(kind, pipeline);
  return `${table} AS r LEFT JOIN ${table} AS b ON b.id = r.same_as`;
}

/** The text of a record of `fromRecords`, with U+FFFD in place of NUL. */
export const TEXT = "coalesce(b.json, r.json)";

/** The line of a record of `fromRecords`, where it has NUL characters; else NULL. */
export const NUL_LINE = "coalesce(b.nul_line, r.nul_line)";

/** The line of a record, of what was selected as `TEXT` and `NUL_LINE`. */
export function lineOf({ json, nul }: { json: string; nul: Uint8Array | null }): string {
  return nul === null ? json : new TextDecoder("utf-8", { ignoreBOM: true }).decode(nul);
}

/** The id of the record that holds the text of a record of `fromRecords`. */
export const HOLDER = "coalesce(r.same_as, r.id)";

/** The ids of a file's records, as the two ends of BETWEEN. */
export function idsOf(fileId: number): [first: number, last: number] {
  return [fileId * LINES_PER_FILE, (fileId + 1) * LINES_PER_FILE - 1];
}

/** What `text` holds as a record `x.v`, parsed once for each row, and not at all where nothing of it is shown. To be joined. */
export function parsed(text: string): string {
  return `CROSS JOIN LATERAL (SELECT etl_record(${text}) AS v OFFSET 0) AS x`;
}

/** A list of keys, as a value of type TEXT[]. */
export function pathSql(keys: readonly string[]): string {
  return `ARRAY[${keys.map(sqlText).join(", ")}]`;
}

/** The value of a column, of a record `record`. */
export function fieldSql({ keys, type }: CurrentColumn, record: string): string {
  const path = pathSql(keys);
  if (type === "TEXT") return `${record} #>> ${path}`;
  const number = `etl_number(${record} #> ${path})`;
  return type === "REAL" ? `${number}::double precision` : number;
}

/** The value of a top-level key of a record, as text; of a `type` where it is known to have one. */
export function valueSql(
  key: string,
  rule: "whole" | Mask | undefined,
  record: string,
  type: CurrentColumn["type"] | undefined,
): string {
  if (rule === undefined) return fieldSql({ keys: [key], type: type ?? "TEXT" }, record);
  const isThere = `${record} ->> ${sqlText(key)} IS NOT NULL`;
  if (rule === "whole") return `CASE WHEN ${isThere} THEN '${MASKED}' END`;
  const masked = `etl_masked(${record} -> ${sqlText(key)}, ${sqlText(JSON.stringify(maskJson(rule)))})`;
  return `CASE WHEN ${isThere} THEN coalesce(${masked} #>> '{}', '${MASKED}') END`;
}

type MaskJson = { [key: string]: true | MaskJson };

function maskJson(mask: Mask): MaskJson {
  return Object.fromEntries([...mask].map(([key, rule]) => [key, rule === "whole" || maskJson(rule)]));
}
