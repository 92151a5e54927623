/**
 * What a row of the benchmark is: something measured, what it is compared with, and what it has to reach.
 *
 * @module
 */
import type { Spread } from "./measure.ts";
import type { BenchEnvironment } from "./environment.ts";

/** One side of a comparison, over all turns. */
export interface Side {
  /** What was run, such as `sqlite3 .import`. */
  readonly label: string;
  readonly seconds: Spread;
  /** User and system time of the process (and of the children it waited for) in seconds, where it was measured. */
  readonly cpu?: Spread;
}

/** What a figure has to reach; a figure without a target is there to be known. */
export type Target = { readonly atMost: number } | { readonly atLeast: number };

export interface Result {
  /** What was measured, such as `load three files, 300,000 rows`. */
  readonly what: string;
  /** What it was compared with, where there is something to compare with. */
  readonly baseline?: Side;
  readonly ours?: Side;
  /** CPU time of ours to that of the baseline, turn by turn: less shaken by other load on the machine than wall time. */
  readonly cpuRatio?: Spread | undefined;
  /** The figure: median and spread; a ratio is taken turn by turn, ours to baseline. */
  readonly figure: Spread;
  /** Its unit: `x` for a ratio. */
  readonly unit: "x" | "s" | "ms" | "MB" | "%" | "records/s" | "requests/s" | "R²";
  /** What it has to reach. */
  readonly target?: Target;
  /** What a reader has to know to read the figure. */
  readonly note?: string;
}

/** A row: a module of `rows/` exports one. To add one, write the module and list it in `rows.ts`. */
export interface Row {
  readonly name: string;
  /** Measures, and yields each figure as soon as it is known. */
  measure(environment: BenchEnvironment): AsyncIterable<Result>;
}

/** Whether a figure's median reaches its target; undefined where there is none. */
export function holds({ figure, target }: Result): boolean | undefined {
  if (target === undefined) return undefined;
  return "atMost" in target ? figure.median <= target.atMost : figure.median >= target.atLeast;
}
