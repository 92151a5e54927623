/**
 * Which record is which: ids of records, and a set of millions of them.
 *
 * @module
 */

/** What tells a record from another; a number stands for itself, all else for its JSON text. */
export type RecordId = number | string;

const decoder = new TextDecoder();
const ZERO = 48, NINE = 57;
/** The most digits of a whole number that is surely safe. */
const SAFE_DIGITS = 15;

/**
 * The id whose JSON text is `text`; undefined where that could tell no record from others. A number counts for its value, as far as that is
 * exact: beyond 2^53 two ids would have the same one, so they count for how they are written.
 */
export function idFrom(text: Uint8Array): RecordId | undefined {
  const digits = wholeNumber(text);
  if (digits !== undefined) return digits;
  const json = decoder.decode(text);
  const value: unknown = JSON.parse(json);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return undefined;
  return Number.isSafeInteger(value) ? value : json;
}

/** Most ids are short whole numbers, which are read fastest as they stand. */
function wholeNumber(text: Uint8Array): number | undefined {
  if (text.length > SAFE_DIGITS) return undefined;
  let value = 0;
  for (const code of text) {
    if (code < ZERO || code > NINE) return undefined;
    value = 10 * value + code - ZERO;
  }
  return value;
}

const WORD = 32;

/** A set of ids. Whole numbers that lie close together take little more than a bit each. */
export class IdSet {
  readonly #words = new Map<number, number>(); // word number -> one bit for each of 32 neighbouring ids
  readonly #others = new Set<RecordId>();

  /** Whether `id` was added. */
  has(id: RecordId): boolean {
    if (typeof id === "string") return this.#others.has(id);
    const word = Math.floor(id / WORD);
    return ((this.#words.get(word) ?? 0) & (1 << (id - word * WORD))) !== 0;
  }

  /** Adds `id`, a string or a safe integer. */
  add(id: RecordId): void {
    if (typeof id === "string") {
      this.#others.add(id);
      return;
    }
    const word = Math.floor(id / WORD);
    this.#words.set(word, (this.#words.get(word) ?? 0) | (1 << (id - word * WORD)));
  }
}
