/** Personal fields of a record, and their masks. */
import type { FileKind } from "../contracts/names.ts";
import { PermanentError } from "../errors/errors.ts";
import { isExactObject, parseExact } from "../pipeline/exact_json.ts";

/** What is shown in place of a personal value. */
export const MASKED = "***";

/** The fields to mask: for each key either `whole`, or the mask of the object below it. */
export type Mask = ReadonlyMap<string, "whole" | Mask>;

/**
 * Reads dotted names such as `ssn` and `bank.cardNumber`. Keys are compared exactly.
 *
 * @throws PermanentError for any other name.
 */
export function maskOf(fields: readonly string[]): Mask {
  const mask: MutableMask = new Map();
  for (const field of fields) {
    const keys = field.split(".");
    if (!keys.every(isPlainKey)) {
      throw new PermanentError(
        `Cannot mask the field ${
          JSON.stringify(field)
        }: wanted keys separated by dots, such as bank.cardNumber, without quotes ` +
          `and backslashes. Correct MASK_FIELDS and start again.`,
      );
    }
    add(mask, keys);
  }
  return mask;
}

/**
 * The mask for files of a kind. Any mask also masks the text of an unreadable line, as its content is unknown. The reason why a record is invalid is
 * masked if it may quote a masked field; `judged` are the fields with rules.
 */
export function maskOfKind(kind: FileKind, mask: Mask, judged: readonly string[]): Mask {
  if (kind !== "invalid" || mask.size === 0) return mask;
  const own = new Map(mask).set("raw_line", "whole");
  return judged.some((field) => touches(mask, field.split("."))) ? own.set("error_reason", "whole") : own;
}

/**
 * The record with `***` in place of each masked value that exists and isn't null. The views mask in the same way.
 *
 * If in doubt, the value is hidden: the whole top-level value if the parent of a masked field isn't an object, and a record that isn't an object.
 */
export function maskRecord(record: unknown, mask: Mask): unknown {
  if (mask.size === 0 || record === null) return record;
  return isExactObject(record) ? replaceIn(record, mask, MASKED) : MASKED;
}

/** Whether JSON writes the key without escapes. Only such keys can be named in a path of SQLite's JSON functions in every version. */
export function isPlainKey(key: string): boolean {
  return key !== "" && JSON.stringify(key) === `"${key}"`;
}

/** The dotted paths of fields, shortened to the masked object that contains them: the keys of a masked object may be personal, too. */
export function shownPaths(paths: readonly string[], mask: Mask): string[] {
  return [...new Set(paths.map((path) => shownPath(path.split("."), mask)))];
}

function shownPath([key, ...below]: string[], mask: Mask): string {
  const rule = mask.get(key!);
  if (below.length === 0 || rule === "whole") return key!;
  return `${key}.${rule === undefined ? below.join(".") : shownPath(below, rule)}`;
}

/** Whether a mask hides the value below `keys`. */
export function hides(mask: Mask, [key, ...below]: readonly string[]): boolean {
  const rule = mask.get(key!);
  return rule === "whole" || (rule !== undefined && below.length > 0 && hides(rule, below));
}

/** Whether a mask hides the value at `keys`, what is around it, or some of what is below it. */
export function touches(mask: Mask, [key, ...below]: string[]): boolean {
  const rule = mask.get(key!);
  if (rule === undefined || rule === "whole" || below.length === 0) return rule !== undefined;
  return touches(rule, below);
}

type MutableMask = Map<string, "whole" | MutableMask>;

function add(mask: MutableMask, [key, ...below]: string[]): void {
  const known = mask.get(key!);
  if (below.length === 0 || known === "whole") mask.set(key!, "whole");
  else {
    const inner = known ?? new Map();
    mask.set(key!, inner);
    add(inner, below);
  }
}

/** Marks an object whose masked fields can't be reached, so it must be hidden whole. */
const UNREACHABLE = Symbol("unreachable");

/** Replaces values whose masked fields can't be reached by `otherwise`; without `otherwise`, one such value makes the whole object unreachable. */
function replaceIn(object: object, mask: Mask, otherwise?: string): object | typeof UNREACHABLE {
  const entries: [string, unknown][] = [];
  for (const [key, value] of Object.entries(object)) {
    const shown = show(value, mask.get(key));
    if (shown === UNREACHABLE && otherwise === undefined) return UNREACHABLE;
    entries.push([key, shown === UNREACHABLE ? otherwise : shown]);
  }
  return Object.fromEntries(entries);
}

function show(value: unknown, rule: "whole" | Mask | undefined): unknown {
  if (rule === undefined || value === null) return value;
  if (rule === "whole") return MASKED;
  return isExactObject(value) ? replaceIn(value, rule) : UNREACHABLE;
}

/** A line as a masked record; a line that isn't JSON as `{ raw_line: … }`. */
export function readRecord(json: string, mask: Mask): unknown {
  try {
    return maskRecord(parseExact(json), mask);
  } catch {
    return { raw_line: mask.size > 0 ? MASKED : json };
  }
}
