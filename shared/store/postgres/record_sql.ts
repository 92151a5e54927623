/** SQL over the text of a record: where it is stored, and its values. */
import type { CurrentColumn } from "../current_shape.ts";
import { type Mask, MASKED } from "../mask.ts";
import { sqlText } from "./session.ts";

/** Joins `text` parsed as a record `x.v`: once for each row, and not at all if no value is selected. */
export function parsed(text: string): string {
  return `CROSS JOIN LATERAL (SELECT etl_record(${text}) AS v OFFSET 0) AS x`;
}

/** A list of keys, as a value of type TEXT[]. */
export function pathSql(keys: readonly string[]): string {
  return `ARRAY[${keys.map(sqlText).join(", ")}]`;
}

/** The value of a column in the record `record`. */
export function fieldSql({ keys, type }: CurrentColumn, record: string): string {
  const path = pathSql(keys);
  if (type === "TEXT") return `${record} #>> ${path}`;
  const number = `etl_number(${record} #> ${path})`;
  return type === "REAL" ? `${number}::double precision` : number;
}

/** The value of a top-level key of a record, as text, or as `type` if that is known. */
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
