/**
 * SQL over the text of a record: where it is stored, and its values. A raw line that isn't JSON must not make a whole query fail. Works with SQLite
 * 3.38.
 */
import { sqlText } from "../../sqlite/database.ts";
import type { CurrentColumn } from "../current_shape.ts";
import { isPlainKey, type Mask, MASKED } from "../mask.ts";

/** The key of a record: text or a number; NULL if it has none. Whole numbers of more than 64 bits are text. */
export function keySql(keys: readonly string[], text: string): string {
  const at = path(...keys);
  return `CASE WHEN json_valid(${text}) THEN ${exact(`json_extract(${text}, ${at})`, text, at)} END`;
}

/** The value of a column, for a record that is valid JSON. */
export function fieldSql({ keys, type }: CurrentColumn, text: string): string {
  const at = path(...keys);
  const value = `json_extract(${text}, ${at})`;
  return type === "INTEGER" ? exact(value, text, at) : value;
}

/** The value of a top-level key. */
export function valueSql(key: string, rule: "whole" | Mask | undefined, text: string): string {
  const value = isPlainKey(key) ? `json_extract(${text}, ${path(key)})` : valueOfStrangeKey(key, text);
  const guarded = (value: string) => `CASE WHEN json_valid(${text}) THEN ${value} END`;
  if (rule === "whole") return guarded(`iif(${value} IS NULL, NULL, '${MASKED}')`);
  if (rule !== undefined) {
    return guarded(
      `CASE json_type(${text}, ${path(key)}) WHEN 'null' THEN NULL WHEN 'object' THEN ${
        maskedObject(key, rule, text)
      } ` +
        `ELSE iif(${value} IS NULL, NULL, '${MASKED}') END`,
    );
  }
  return guarded(isPlainKey(key) ? exact(value, text, path(key)) : value);
}

/** A whole number of more than 64 bits is shown as text, not rounded. */
function exact(value: string, text: string, at: string): string {
  return `CASE WHEN typeof(${value}) = 'real' AND json_type(${text}, ${at}) = 'integer' THEN ${text} -> ${at} ELSE ${value} END`;
}

/**
 * The object's text with its masked fields replaced. The result is checked, and hidden completely if it still holds a masked value. This can happen:
 * a path finds only the first of two equal keys, older versions miss keys written with escapes, and a parent may not be an object.
 */
function maskedObject(key: string, mask: Mask, text: string): string {
  const replacements = leaves(mask).map((keys) =>
    `, ${path(...keys)}, iif(json_type(${text}, ${path(key, ...keys)}) = 'null', NULL, '${MASKED}')`
  );
  return `(SELECT iif(${leaks("m.x", mask, 1)}, '${MASKED}', m.x) FROM ` +
    `(SELECT json_replace(json_extract(${text}, ${path(key)})${replacements.join("")}) AS x) AS m)`;
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

function valueOfStrangeKey(key: string, text: string): string {
  return `(SELECT e.value FROM json_each(${text}) AS e WHERE e.key = ${sqlText(key)} LIMIT 1)`;
}
