/**
 * What a drill is: a fault that is injected on purpose, and its outcome.
 *
 * @module
 */

/** The parts of the pipeline that can be hurt. */
export const AREAS = ["extract", "channel", "transform", "load", "deliver", "system"] as const;
export type Area = (typeof AREAS)[number];

/** The outcome of a fault. */
export interface Outcome {
  /** What was seen, in a few words. */
  readonly happened: string;
  /** Records that are missing somewhere. */
  readonly lost: number;
  /** Records that are somewhere more than once. */
  readonly twice: number;
  /** Milliseconds from the end of the fault until the run had come to its end. */
  readonly recoveredMs: number;
}

export interface DrillCase {
  readonly name: string;
  readonly area: Area;
  /** The fault, in one line. */
  readonly fault: string;
  /** Whether `deno task test` runs it too. */
  readonly quick: boolean;
  /** Whether it needs the PostgreSQL server that the cases share. */
  readonly usesPostgres?: boolean;
  /**
   * Makes the fault, sees to it that the pipeline recovers, and holds it to its promises.
   *
   * @param repeats how much of what can be repeated is: 1 for all, less for a share of it
   * @throws Error where a promise is broken, `Skip` where the machine doesn't allow the fault.
   */
  run(repeats: number): Promise<Outcome>;
}

/** The machine doesn't allow this fault to be made. */
export class Skip extends Error {}
