/**
 * Rows of a view, read without SQLite's JSON functions, which take ten times as long for a record of 28 keys. Only records whose text is as
 * `JSON.stringify` writes it are read so: of these both find the same values.
 *
 * @module
 */
import type { Database, Value } from "../../sqlite/database.ts";
import { type Mask, maskRecord } from "../mask.ts";
import type { Table } from "../rows.ts";

/** A column of a view: the value of a record's key, or what `sql` selects. */
export type PlainColumn = { readonly name: string } & ({ readonly key: string } | { readonly sql: string });

/** Whole numbers that JavaScript would round; NULs and halves of surrogate pairs, which SQLite cuts or replaces. */
const READ_OTHERWISE = /[:,[]-?\d{16}|\\u(?:0000|d[89a-f])/;

/** The rows that `rest` (FROM and what follows) selects of records with the text `text`; undefined where only SQLite can read one of them. */
export function plainRows(
  db: Database,
  columns: readonly PlainColumn[],
  { text, rest, mask }: { text: string; rest: string; mask: Mask },
  ...bound: number[]
): Table | undefined {
  const selected = [text, ...columns.flatMap((column) => "sql" in column ? [column.sql] : [])];
  const found = db.table(`SELECT ${selected.join(", ")} ${rest}`, ...bound);
  const rows: Value[][] = [];
  for (const [json, ...others] of found.rows) {
    const record = plainRecord(json!);
    if (record === undefined) return undefined;
    const shown = maskRecord(record, mask) as Record<string, unknown>;
    let at = 0;
    rows.push(columns.map((column) => "sql" in column ? others[at++]! : valueOf(shown, column.key)));
  }
  return { columns: columns.map(({ name }) => name), rows };
}

function plainRecord(text: Value): object | undefined {
  if (typeof text !== "string" || !text.startsWith("{") || READ_OTHERWISE.test(text)) return undefined;
  try {
    const record = JSON.parse(text);
    // another text has a key twice, a number such as 1.0, an escape that isn't needed, or blanks
    return JSON.stringify(record) === text ? record : undefined;
  } catch {
    return undefined;
  }
}

/** As `json_extract` answers it. */
function valueOf(record: Record<string, unknown>, key: string): Value {
  const value = Object.hasOwn(record, key) ? record[key] : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value as Value;
}
