/**
 * What both engines have in common: statements whose text is the same, with the parts in which it differs.
 *
 * @module
 */

/** What can be bound to a parameter: `undefined` becomes NULL, booleans become 1 and 0; a list is for `isIn` and `listed`. */
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
 * What is locked: the file of a run that is loaded, a run whose events are kept, a pipeline whose current state moves, and, shared by all who keep
 * events and deliveries, that nothing is reported at all.
 */
export type Lock = "file" | "run" | "pipeline" | "told";

/** The SQL that each engine writes in its own way. */
export interface Dialect {
  /** Whether `value` is in the list that is bound to `parameter`. */
  isIn(value: string, parameter: string, type: "text" | "bigint"): string;
  /** The items of the list of whole numbers that is bound to `parameter`, as rows `c` with the columns `value` and `n`, from 1. */
  listed(parameter: string): string;
  /** The text below `keys` in the JSON `text`. */
  textIn(text: string, keys: readonly string[]): string;
  /** Selects `n`, how many runs there are, or were loaded. */
  countRuns(isLoaded: boolean): string;
}

/** What runs statements whose parameters are `$1`, `$2` and so on. */
export interface Sql {
  readonly dialect: Dialect;
  /** All rows of a query over our own tables. `T` is the shape that the query selects. */
  all<T>(text: string, ...values: Bindable[]): Promise<T[]>;
  /** The first row of a query, as `all`. */
  get<T>(text: string, ...values: Bindable[]): Promise<T | undefined>;
  /** Runs one statement; answers the number of rows it changed. */
  run(text: string, ...values: Bindable[]): Promise<number>;
  /** Locks `name` of a kind until the transaction ends, after those that have it. `shared`: together with others that share it. */
  lock(kind: Lock, name?: string, options?: { shared?: boolean }): Promise<void>;
}

/** Quotes `name` as an SQL identifier. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
