/** Conditions on fields of the current state. */
import { asStored, type Condition, type Conditions, fieldOf } from "../current_rows.ts";
import { INDEXED_CHARACTERS, indexedText, keyText } from "./current_table.ts";
import type { Terms } from "../sql/terms.ts";
import type { SearchableColumn } from "../sql/current.ts";

/**
 * Adds the conditions on a row `c` to `terms`. Returns the term to order by so that a range uses an index; undefined for the key alone. As in SQLite,
 * a number is less than any text.
 *
 * @throws PermanentError for a field that can't be searched.
 */
export function addConditions(
  terms: Terms,
  fields: readonly SearchableColumn[],
  where: Conditions,
): string | undefined {
  let order: string | undefined;
  for (const [name, condition] of Object.entries(where)) {
    const field = fieldOf(fields, name, condition);
    const on = field.type === undefined ? onKey : field.type === "TEXT" ? onText : onNumber;
    const by = on(terms, field, condition);
    order ??= by;
  }
  return order;
}

/** SQL for a list of stored keys, from the JSON array bound to `parameter`. */
export function keysSql(parameter: string): string {
  return `(SELECT etl_key(k.value, '{}') FROM jsonb_array_elements(etl_record(${parameter})) AS k (value))`;
}

function onKey(terms: Terms, _: SearchableColumn, { eq, lt, gt, in: among, like }: Condition): undefined {
  const bind = (keys: readonly unknown[]) => keysSql(terms.bind(JSON.stringify(keys)));
  if (eq === null) terms.addSql("false");
  else if (eq !== undefined) terms.addSql(`c.key IN ${bind(asStored(eq))}`);
  for (const [value, sign] of [[lt, "<"], [gt, ">"]] as const) {
    if (value === undefined) continue;
    const key = bind([value]);
    terms.addSql(`(c.key_order, c.key) ${sign} (SELECT etl_key_order(b), b FROM ${key} AS b (b))`);
  }
  if (among !== undefined) terms.addSql(`c.key IN ${bind(among.flatMap(asStored))}`);
  if (like !== undefined) terms.addSql(`${keyText("c")} ILIKE ${terms.bind(like)} ESCAPE ''`);
}

function onText(
  terms: Terms,
  { column, isIndexed }: SearchableColumn,
  condition: Condition,
): string | undefined {
  const { eq, lt, gt, in: among, like } = condition;
  const { exact, folded } = indexedText(column);
  const cut = (value: unknown) => [...String(value)].slice(0, INDEXED_CHARACTERS).join("");
  let order: string | undefined;
  if (eq === null) terms.addSql(`${column} IS NULL`);
  else if (eq !== undefined) {
    if (isIndexed) terms.add`${terms.raw(exact)} = ${cut(textOf(eq))}`;
    terms.add`${terms.raw(column)} = ${textOf(eq)}`;
  }
  for (const [value, sign] of [[lt, "<"], [gt, ">"]] as const) {
    if (value === undefined) continue;
    if (isIndexed) {
      terms.add`${terms.raw(exact)} ${terms.raw(sign)}= ${cut(value)}`;
      order ??= exact;
    }
    terms.add`${terms.raw(column)} ${terms.raw(sign)} ${String(value)}`;
  }
  if (among !== undefined) {
    if (isIndexed) {
      terms.add`${terms.raw(exact)} = ANY(${among.map((value) => cut(textOf(value)))}::text[])`;
      order ??= exact;
    }
    terms.add`${terms.raw(column)} = ANY(${among.map(textOf)}::text[])`;
  }
  if (like !== undefined) {
    const [beginning = ""] = /^[^%_]*/.exec(like)!;
    if (isIndexed && beginning !== "") {
      const start = cut(beginning);
      terms.add`${terms.raw(folded)} >= lower(${start}::text COLLATE "C") AND ${
        terms.raw(folded)
      } < lower(${start}::text COLLATE "C") || ${"\u{10ffff}"}`;
      order ??= folded;
    }
    terms.add`${terms.raw(column)} ILIKE ${like} ESCAPE ''`;
  }
  return order;
}

function onNumber(
  terms: Terms,
  { column, type, isIndexed }: SearchableColumn,
  condition: Condition,
): string | undefined {
  const { eq, lt, gt, in: among, like } = condition;
  const numbers = (values: readonly (string | number | boolean)[]) =>
    values.flatMap((value) => {
      const isNumber = typeof value !== "string" || (type === "REAL" && value.trim() !== "");
      return isNumber && Number.isFinite(Number(value)) ? [Number(value)] : [];
    });
  let order: string | undefined;
  if (eq === null) terms.addSql(`${column} IS NULL`);
  for (const [values, sign] of [[eq ?? undefined, "="], [lt, "<"], [gt, ">"]] as const) {
    if (values === undefined) continue;
    const [number] = numbers([values]);
    if (number !== undefined) terms.add`${terms.raw(column)} ${terms.raw(sign)} ${String(number)}`;
    else terms.addSql(sign === "<" ? `${column} IS NOT NULL` : "false");
  }
  if (isIndexed && (lt ?? gt) !== undefined) order = column;
  if (among !== undefined) {
    terms.add`${terms.raw(column)} = ANY(${numbers(among).map(String)}::text[]::numeric[])`;
    if (isIndexed) order ??= column;
  }
  if (like !== undefined) terms.add`trim_scale(${terms.raw(column)})::text ILIKE ${like} ESCAPE ''`;
  return order;
}

function textOf(value: string | number | boolean): string {
  return typeof value === "boolean" ? String(Number(value)) : String(value);
}
