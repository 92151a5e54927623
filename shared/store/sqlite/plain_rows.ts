/**
 * Reads rows of a view without SQLite's JSON functions, which take several times as long for a record of 28 keys. Applies only to records whose text
 * is as `JSON.stringify` writes it, where both find the same values; other records are read from the view.
 */
import type { Database, Value } from "../../sqlite/database.ts";
import { type Mask, maskRecord } from "../mask.ts";
import type { OffsetPage, Table } from "../rows.ts";

/** A column of a view: the value of a record's key, or of an SQL expression. */
export type PlainColumn = { readonly name: string } & ({ readonly key: string } | { readonly sql: string });

/** The source of the rows of a page, as SQL. */
interface PlainSource {
  /** Identifies a row. */
  readonly id: string;
  /** The text of its record. */
  readonly text: string;
  /** FROM and the following clauses, with the limits of the page. */
  readonly rest: string;
  readonly mask: Mask;
  /** Selects a page of the view. */
  readonly view: string;
  /** Selects ids and rows of the view, for a list of ids in JSON. */
  readonly viewOf: string;
}

/** Whole numbers that JavaScript would round; NULs and lone surrogates, which SQLite cuts or replaces. */
const READ_OTHERWISE = /[:,[]-?\d{16}|\\u(?:0000|d[89a-f])/;

/** A page of rows. */
export function plainRows(
  db: Database,
  columns: readonly PlainColumn[],
  { id, text, rest, mask, view, viewOf }: PlainSource,
  page: OffsetPage,
): Table {
  const selected = [id, text, ...columns.flatMap((column) => "sql" in column ? [column.sql] : [])];
  const found = db.table(`SELECT ${selected.join(", ")} ${rest}`, page.limit, page.offset).rows;
  const records = found.map(([, json]) => plainRecord(json!));
  const others = found.filter((_row, n) => records[n] === undefined).map(([id]) => id as number);
  const names = columns.map(({ name }) => name);
  const viewed = new Map<Value, Value[]>();
  if (others.length > 0) {
    const read = db.table(viewOf, JSON.stringify(others));
    // another process may have changed the view or removed records meanwhile
    if (read.columns.slice(1).join("\0") !== names.join("\0") || read.rows.length < others.length) {
      return db.table(view, page.limit, page.offset);
    }
    for (const [id, ...values] of read.rows) viewed.set(id!, values);
  }
  const rows = found.map(([id, , ...own], n) => {
    const record = records[n];
    if (record === undefined) return viewed.get(id!)!;
    const shown = maskRecord(record, mask) as Record<string, unknown>;
    let at = 0;
    return columns.map((column) => "sql" in column ? own[at++]! : valueOf(shown, column.key));
  });
  return { columns: names, rows };
}

/** SQLite rejects deeper JSON. */
const DEEPEST = 1_000;

/** The record of a text; a value other than an object has no members. */
function plainRecord(text: Value): object | undefined {
  if (typeof text !== "string" || READ_OTHERWISE.test(text) || mayBeDeep(text)) return undefined;
  try {
    const record = JSON.parse(text);
    // the text has a duplicate key, a number such as 1.0, an unnecessary escape, or whitespace
    if (JSON.stringify(record) !== text) return undefined;
    return typeof record === "object" && record !== null && !Array.isArray(record) ? record : {};
  } catch {
    return undefined;
  }
}

function mayBeDeep(text: string): boolean {
  return text.length > 2 * DEEPEST && (text.match(/[[{]/g)?.length ?? 0) > DEEPEST;
}

/** A value as `json_extract` returns it. */
function valueOf(record: Record<string, unknown>, key: string): Value {
  const value = Object.hasOwn(record, key) ? record[key] : null;
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value as Value;
}
