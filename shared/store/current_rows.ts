/** What the store returns about the current state of a pipeline. All engines return the same. */
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
  /** The run that its values come from. */
  readonly changed_run: string;
  /** When that run was loaded. */
  readonly changed_at: string;
  /** The newest run that held it as a valid record. */
  readonly seen_run: string;
  /** Its position in the order of the page. */
  readonly cursor: CurrentCursor;
}

/** A value that pages are ordered by. A whole number beyond 2^53 is a raw JSON value, so `JSON.stringify` writes all its digits. */
export type Ordered = string | number | object;

/** A position in the order of a page: the value ordered by, unless that is the key alone, and the key. */
export type CurrentCursor = readonly [value: Ordered | null, key: Ordered];

/** What a run did to a key. */
export interface ChangeRow {
  readonly key: Key;
  readonly change: "added" | "changed" | "removed" | "restored";
  readonly run_id: string;
  readonly at: string;
  /** For a changed record: the paths of the fields that differ. */
  readonly fields: readonly string[];
  /** The processed record before; null if there was none. It can be read while its run is kept. */
  readonly before: number | null;
  /** The processed record after; null if there is none. */
  readonly after: number | null;
  /** Its position in the order of changes. */
  readonly cursor: ChangeCursor;
}

/** Which changes to read: all conditions hold. */
export interface ChangeFilter {
  /** What this run did. */
  readonly runId?: string | undefined;
  /** What was done to the record with this key. */
  readonly key?: Key | undefined;
  /** Changes of this kind. */
  readonly change?: ChangeRow["change"] | undefined;
}

/** A position in the order of changes. */
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

/** An invalid record with a given key. */
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
 * The conditions on a field's value; all given ones must hold. `like` supports `%` and `_`, and ignores the case of ASCII letters. It is refused for
 * fields of type REAL, as one number can be written in many ways.
 */
export interface Condition {
  readonly eq?: string | number | boolean | null | undefined;
  readonly lt?: string | number | undefined;
  readonly gt?: string | number | undefined;
  readonly in?: readonly (string | number | boolean)[] | undefined;
  readonly like?: string | undefined;
}

/** Conditions by field; all must hold. */
export type Conditions = Readonly<Record<string, Condition>>;

/**
 * The field of a condition.
 *
 * @throws PermanentError for a field that can't be searched in this way.
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

/** The forms in which a key may be stored: the text of a whole number may also be stored as a number. */
export function asStored<K>(key: K): (K | object)[] {
  return typeof key === "string" && /^-?(0|[1-9]\d{0,18})$/.test(key) ? [key, exactJson.rawJSON(key)] : [key];
}
