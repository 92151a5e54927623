/**
 * Keeping what was read for as long as it is true.
 *
 * @module
 */
import type { ReadStore } from "../shared/store/sqlite/open.ts";

/** A few values that were read from the database, kept until the next commit. */
export class UntilCommit<T> {
  readonly #kept = new Map<string, T>();
  #version: number | undefined;

  /** Keeps at most `most` values. */
  constructor(private readonly most: number) {}

  /** The value under `key`: what `read` answers, or what it answered since the last commit. */
  get(store: ReadStore, key: string, read: () => T): T {
    // asked for before the read: what is committed in between is read again next time
    const version = store.version();
    if (version !== this.#version || this.#kept.size >= this.most) this.#kept.clear();
    this.#version = version;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const value = read();
    this.#kept.set(key, value);
    return value;
  }
}
