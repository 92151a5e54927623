/** Conditions on fields of the current state. */
import { asStored, type Conditions, fieldOf } from "../current_rows.ts";
import { Terms } from "../sql/terms.ts";
import type { SearchableColumn } from "../sql/current.ts";

/**
 * Adds the conditions on a row `c` to `terms`. Returns the term to order by so that a range uses an index; undefined for the key alone. SQLite takes
 * one bound of a range from an index. A page with a cursor must use the bound of the cursor.
 *
 * @throws PermanentError for a field that can't be searched.
 */
export function addConditions(
  terms: Terms,
  fields: readonly SearchableColumn[],
  where: Conditions,
  isFrom: { after: boolean; before: boolean },
): string | undefined {
  let order: string | undefined;
  const above = isFrom.after ? "+" : "";
  const below = isFrom.before ? "+" : "";
  const addAmong = (column: string, values: readonly unknown[]) =>
    terms.addSql(`${column} IN (SELECT value FROM json_each(${terms.bind(JSON.stringify(values))}))`);
  for (const [name, condition] of Object.entries(where)) {
    const { eq, lt, gt, in: among, like } = condition;
    const field = fieldOf(fields, name, condition);
    const { column } = field;
    const isOrdered = field.isIndexed && column !== "c.key";
    if (column === "c.key") {
      if (eq === null) terms.addSql("false");
      else if (eq !== undefined) addAmong(column, asStored(eq));
      if (among !== undefined) addAmong(column, among.flatMap(asStored));
    } else if (eq !== undefined) {
      terms.addSql(eq === null ? `${column} IS NULL` : `${column} = ${terms.bind(eq)}`);
    }
    if (lt !== undefined) terms.addSql(`${below}${column} < ${terms.bind(lt)}`);
    if (gt !== undefined) terms.addSql(`${above}${column} > ${terms.bind(gt)}`);
    if (isOrdered && (lt ?? gt) !== undefined) order ??= column;
    if (among !== undefined && column !== "c.key") {
      addAmong(column, among);
      if (isOrdered) order ??= column;
    }
    if (like !== undefined) {
      const folded = `${column} COLLATE NOCASE`;
      const [beginning = ""] = /^[^%_]*/.exec(like)!;
      if (isOrdered && field.type === "TEXT" && beginning !== "") {
        terms.addSql(`${above}${folded} >= ${terms.bind(beginning)}`);
        terms.addSql(`${below}${folded} < ${terms.bind(`${beginning}\u{10ffff}`)}`);
        order ??= folded;
      }
      // a whole number that the source writes with a fraction (1.0) is compared without it
      const text =
        `iif(typeof(${column}) = 'real' AND ${column} = CAST(${column} AS INTEGER), CAST(${column} AS INTEGER), ${column})`;
      terms.addSql(`${field.type === "TEXT" ? column : text} LIKE ${terms.bind(like)}`);
    }
  }
  return order;
}
