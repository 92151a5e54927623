/**
 * Conditions on fields of the current state.
 *
 * @module
 */
import type { Bindable } from "../../sqlite/database.ts";
import { asStored, type Conditions, fieldOf, type Searchable } from "../current_rows.ts";
import type { CurrentShape } from "../current_shape.ts";
import { hides } from "../mask.ts";
import type { Shown } from "../shown.ts";

/** A field that can be looked for, and its column in the current table. */
export interface SearchableColumn extends Searchable {
  readonly column: string;
}

/** The fields of a pipeline's current state that can be looked for: those with a column that aren't masked. */
export function searchable({ masks }: Shown, { key, columns, index }: CurrentShape): SearchableColumn[] {
  const all = [
    { keys: key, type: undefined, column: "c.key", isIndexed: true },
    ...columns.map(({ keys, type }, n) => ({
      keys,
      type,
      column: `c.c${n}`,
      isIndexed: index.includes(keys.join(".")),
    })),
  ];
  return all.filter(({ keys }) => !hides(masks.processed, keys))
    .map(({ keys, ...rest }) => ({ field: keys.join("."), ...rest }));
}

/**
 * The conditions as SQL over a row `c`. `order` is what to order by so that an index serves a range; undefined where that is the key alone.
 * SQLite takes one bound of a range from an index: where a page begins or ends at a cursor, that has to be the cursor's.
 *
 * @throws PermanentError for a field that can't be looked for.
 */
export function conditionsSql(
  fields: readonly SearchableColumn[],
  where: Conditions,
  isFrom: { after: boolean; before: boolean },
): { terms: string[]; values: Bindable[]; order: string | undefined } {
  const terms: string[] = [];
  const values: Bindable[] = [];
  let order: string | undefined;
  const above = isFrom.after ? "+" : "";
  const below = isFrom.before ? "+" : "";
  const add = (term: string, ...bound: Bindable[]) => {
    terms.push(term);
    values.push(...bound);
  };
  for (const [name, condition] of Object.entries(where)) {
    const { eq, lt, gt, in: among, like } = condition;
    const field = fieldOf(fields, name, condition);
    const { column } = field;
    const isOrdered = field.isIndexed && column !== "c.key";
    if (column === "c.key") {
      if (eq === null) add("false");
      for (const keys of [eq == null ? undefined : [eq], among]) {
        if (keys !== undefined) {
          add("c.key IN (SELECT value FROM json_each(?))", JSON.stringify(keys.flatMap(asStored)));
        }
      }
    } else if (eq !== undefined) {
      add(eq === null ? `${column} IS NULL` : `${column} = ?`, ...eq === null ? [] : [eq]);
    }
    if (lt !== undefined) add(`${below}${column} < ?`, lt);
    if (gt !== undefined) add(`${above}${column} > ?`, gt);
    if (isOrdered && (lt ?? gt) !== undefined) order ??= column;
    if (among !== undefined && column !== "c.key") {
      add(`${column} IN (SELECT value FROM json_each(?))`, JSON.stringify(among));
      if (isOrdered) order ??= column;
    }
    if (like !== undefined) {
      const folded = `${column} COLLATE NOCASE`;
      const [beginning = ""] = /^[^%_]*/.exec(like)!;
      if (isOrdered && field.type === "TEXT" && beginning !== "") {
        add(`${above}${folded} >= ? AND ${below}${folded} < ?`, beginning, `${beginning}\u{10ffff}`);
        order ??= folded;
      }
      // a whole number that its source writes with a fraction has none
      const text =
        `iif(typeof(${column}) = 'real' AND ${column} = CAST(${column} AS INTEGER), CAST(${column} AS INTEGER), ${column})`;
      add(`${field.type === "TEXT" ? column : text} LIKE ?`, like);
    }
  }
  return { terms, values, order };
}
