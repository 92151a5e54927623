/**
 * Which record is which: ids of records, and a set of millions of them.
 *
 * @module
 */

import type { JsonBytes } from "../shared/files/json_bytes.ts";

/** What tells a record from another; a number stands for itself, all else for its JSON text. */
export type RecordId = number | string;

/**
 * The id that stands from `at` to `end` of `json`; undefined where that could tell no record from others. A number counts for its value, as far
 * as that is exact: beyond 2^53 two ids would have the same one, so they count for how they are written.
 */
export function idFrom(json: JsonBytes, at: number, end: number): RecordId | undefined {
  const value = json.parsed(at, end);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return undefined;
  return Number.isSafeInteger(value) ? value : json.text(at, end);
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
