/**
 * Keeping what was read for as long as it is true.
 *
 * @module
 */
import type { ReadStore } from "../shared/store/store.ts";

/** A few values that were read from the database, kept until the next commit. */
export class UntilCommit<T> {
  readonly #kept = new Map<string, T>();
  #version: string | number | undefined;

  /** Keeps at most `most` values. */
  constructor(private readonly most: number) {}

  /** The value under `key`: what `read` answers, or what it answered since the last commit. */
  async get(store: ReadStore, key: string, read: () => Promise<T>): Promise<T> {
    // asked for before the read: what is committed in between is read again next time
    const version = await store.version();
    if (version !== this.#version || this.#kept.size >= this.most) this.#kept.clear();
    this.#version = version;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const value = await read();
    // another read may have seen a later commit meanwhile
    if (version === this.#version) this.#kept.set(key, value);
    return value;
  }
}
