/**
 * Which record is which: ids of records, and a set of millions of them.
 *
 * @module
 */

/** What tells a record from another; a number stands for itself, all else for its JSON text. */
export type RecordId = number | string;

/** The `id` of a parsed record, whose text is `line`; undefined where it has none that could tell it from others. */
export function idOf(record: unknown, line: string): RecordId | undefined {
  if (typeof record !== "object" || record === null || !("id" in record)) return undefined;
  const { id } = record;
  if (typeof id === "string") return JSON.stringify(id);
  if (typeof id !== "number") return undefined;
  return Number.isSafeInteger(id) ? id : numberText(line, "id");
}

/** How the number under `key` is written in the object `line`: beyond 2^53 two ids may parse to the same number. */
function numberText(line: string, key: string): string | undefined {
  const texts = new Map<unknown, string>(); // object -> how its number is written
  const root: unknown = JSON.parse(
    line,
    function (this: unknown, at: string, value: unknown, context: { source?: string }) {
      if (at === key && context.source !== undefined) texts.set(this, context.source);
      return value;
    } as (this: unknown, key: string, value: unknown) => unknown,
  );
  return texts.get(root);
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
