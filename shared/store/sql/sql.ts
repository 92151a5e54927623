/** What both engines share: how statements run, and the dialect for the parts that differ. */

/** A value bound to a parameter. `undefined` becomes NULL, booleans become 1 and 0; lists are for `isIn` and `listed`. */
export type Bindable =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly string[]
  | readonly number[]
  | null
  | undefined;

/**
 * The kinds of locks: on a file being loaded, on a run whose events are stored, on a pipeline whose current state changes, and on storing events as a
 * whole. Writers of events and deliveries share the last one.
 */
export type Lock = "file" | "run" | "pipeline" | "events";

/** The SQL that differs between engines. */
export interface Dialect {
  /** Whether `value` is in the list bound to `parameter`. */
  isIn(value: string, parameter: string, type: "text" | "bigint"): string;
  /** The list of whole numbers bound to `parameter`, as rows `c` with the columns `value` and `n` (from 1). */
  listed(parameter: string): string;
  /** The text below `keys` in the JSON `text`. */
  textIn(text: string, keys: readonly string[]): string;
  /** The time bound to `parameter` (ISO 8601), or what the engine's clock shows, whichever is earlier. */
  notAhead(parameter: string): string;
  /** Selects `n`, the number of all runs or of loaded runs. */
  countRuns(isLoaded: boolean): string;
}

/** Runs statements with parameters `$1`, `$2` and so on. */
export interface Sql {
  readonly dialect: Dialect;
  /** All rows of a query over our own tables. `T` is the shape that the query selects. */
  all<T>(text: string, ...values: Bindable[]): Promise<T[]>;
  /** The first row of a query; like `all`. */
  get<T>(text: string, ...values: Bindable[]): Promise<T | undefined>;
  /** Runs one statement; returns the number of changed rows. */
  run(text: string, ...values: Bindable[]): Promise<number>;
  /** Waits for the lock `name` of a kind and holds it until the transaction ends. `shared` locks exclude only locks that aren't shared. */
  lock(kind: Lock, name?: string, options?: { shared?: boolean }): Promise<void>;
}

/** Quotes `name` as an SQL identifier. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Stores a row, in place of one with the same values in the columns `unique`. */
export function upsert(
  sql: Sql,
  table: string,
  unique: readonly string[],
  row: Readonly<Record<string, Bindable>>,
): Promise<number> {
  const columns = Object.keys(row);
  const others = columns.filter((column) => !unique.includes(column));
  return sql.run(
    `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map((_, n) => `$${n + 1}`).join(", ")})
     ON CONFLICT (${unique.join(", ")}) DO UPDATE SET ${
      others.map((column) => `${column} = excluded.${column}`).join(", ")
    }`,
    ...Object.values(row),
  );
}
