/**
 * What the store answers about the current state of a pipeline. The same from every engine.
 *
 * @module
 */
import { PermanentError } from "../errors/errors.ts";
import type { CurrentColumn } from "./current_shape.ts";
import { exactJson } from "../pipeline/exact_json.ts";

/** What identifies a record. Whole numbers beyond 2^53 are text. */
export type Key = string | number;

/** A row of the current state. */
export interface CurrentRow {
  readonly key: Key;
  /** The processed record that holds it, as in `Records`. */
  readonly record_id: number;
  /** The masked record; as in `Records`. */
  readonly record: unknown;
  /** The run that added or restored it. */
  readonly first_run: string;
  /** The run that gave it its values. */
  readonly changed_run: string;
  /** When that run was loaded. */
  readonly changed_at: string;
  /** The newest run that held it as a valid record. */
  readonly seen_run: string;
  /** Its place in the order of the page. */
  readonly cursor: CurrentCursor;
}

/** A value that pages are ordered by; a whole number beyond 2^53 is one that `JSON.stringify` writes with all its digits. */
export type Ordered = string | number | object;

/** A place in the order of a page: the value that it is ordered by, where that isn't the key alone, and the key. */
export type CurrentCursor = readonly [value: Ordered | null, key: Ordered];

/** What a run did to a key. */
export interface ChangeRow {
  readonly key: Key;
  readonly change: "added" | "changed" | "removed" | "restored";
  readonly run_id: string;
  readonly at: string;
  /** Of one that changed: the paths of the fields that differ. */
  readonly fields: readonly string[];
  /** The processed record before; null where there was none. It can be read while its run is kept. */
  readonly before: number | null;
  /** The processed record after; null where there is none. */
  readonly after: number | null;
  /** Its place in the order of changes. */
  readonly cursor: ChangeCursor;
}

/** A place in the order of changes. */
export type ChangeCursor = readonly [move: number, key: Ordered];

/** How many keys a run added, changed, removed and restored. */
export interface MoveRow {
  readonly run_id: string;
  readonly at: string;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly restored: number;
}

/** An invalid record with a certain key. */
export interface InvalidOfKey {
  /** Its id, as in `Records`. */
  readonly record_id: number;
  /** The run in which it was first invalid with this text. */
  readonly run_id: string;
}

/** A field that can be searched. */
export interface Searchable {
  /** With dots for nested ones. */
  readonly field: string;
  /** Undefined for the key. */
  readonly type: CurrentColumn["type"] | undefined;
  /** Whether it has an index, so that a search by it is fast. */
  readonly isIndexed: boolean;
}

/**
 * What a field's value has to be; all that is given has to hold. `like` knows `%` and `_`, ignores the case of ASCII letters, and is not for
 * fields of type REAL, as one number has many ways to be written.
 */
export interface Condition {
  readonly eq?: string | number | boolean | null | undefined;
  readonly lt?: string | number | undefined;
  readonly gt?: string | number | undefined;
  readonly in?: readonly (string | number | boolean)[] | undefined;
  readonly like?: string | undefined;
}

/** Conditions by field; all have to hold. */
export type Conditions = Readonly<Record<string, Condition>>;

/**
 * The field of a condition.
 *
 * @throws PermanentError for one that can't be searched in this way.
 */
export function fieldOf<Field extends Searchable>(
  fields: readonly Field[],
  name: string,
  { like }: Condition,
): Field {
  const field = fields.find(({ field }) => field === name);
  if (field !== undefined && (like === undefined || field.type !== "REAL")) return field;
  throw new PermanentError(
    field !== undefined
      ? `Cannot search by ${name} like ${
        JSON.stringify(like)
      }: its values are numbers, wanted eq, lt, gt or in.`
      : `Cannot search by the field ${JSON.stringify(name)}: wanted one of ${
        fields.map(({ field }) => field).join(", ")
      }.`,
  );
}

/** A key as it may be stored: the text of a whole number is that number too. */
export function asStored<K>(key: K): (K | object)[] {
  return typeof key === "string" && /^-?(0|[1-9]\d{0,18})$/.test(key) ? [key, exactJson.rawJSON(key)] : [key];
}
