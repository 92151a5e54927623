const OTHER = "(other)";

/** Counts how often each name was added; names beyond the first `most` different ones are counted together, as `(other)`. */
export class Tally {
  readonly #counts = new Map<string, number>();
  #others = 0;

  constructor(private readonly most: number = 100) {}

  add(name: string): void {
    const count = this.#counts.get(name);
    if (count === undefined && this.#counts.size >= this.most) this.#others += 1;
    else this.#counts.set(name, (count ?? 0) + 1);
  }

  /** Names and counts, the greatest first, and those of one count in the order in which they came; `(other)` last. */
  sorted(): [name: string, count: number][] {
    const sorted = [...this.#counts].sort(([, a], [, b]) => b - a);
    return this.#others === 0 ? sorted : [...sorted, [OTHER, this.#others]];
  }
}
