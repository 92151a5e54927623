import type { ReadStore } from "../shared/store/store.ts";

/** A small cache of values from the database, valid until the next commit. */
export class UntilCommit<T> {
  readonly #kept = new Map<string, T>();
  #version: string | number | undefined;

  constructor(private readonly most: number) {}

  /** The value under `key`, cached or from `read`. */
  async get(store: ReadStore, key: string, read: () => Promise<T>): Promise<T> {
    // before the read: a later commit then invalidates the value
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
