const OTHER = "(other)";

/** Counts names; after the first `most` different names, others are counted together as `(other)`. */
export class Tally {
  readonly #counts = new Map<string, number>();
  #others = 0;

  constructor(private readonly most: number = 100) {}

  add(name: string): void {
    const count = this.#counts.get(name);
    if (count === undefined && this.#counts.size >= this.most) this.#others += 1;
    else this.#counts.set(name, (count ?? 0) + 1);
  }

  /** The greatest count first, equal counts in order of appearance, `(other)` last. */
  sorted(): [name: string, count: number][] {
    const sorted = [...this.#counts].sort(([, a], [, b]) => b - a);
    return this.#others === 0 ? sorted : [...sorted, [OTHER, this.#others]];
  }
}
