/**
 * The types of a drill: a fault that is injected on purpose, and its outcome.
 *
 * @module
 */

/** The parts of the pipeline that drills affect. */
export const AREAS = ["extract", "channel", "transform", "load", "deliver", "system"] as const;
export type Area = (typeof AREAS)[number];

export interface Outcome {
  /** What happened, in a few words. */
  readonly happened: string;
  /** Number of records that are missing somewhere. */
  readonly lost: number;
  /** Number of records that exist more than once somewhere. */
  readonly twice: number;
  /** Milliseconds from the end of the fault to the end of the run. */
  readonly recoveredMs: number;
}

export interface DrillCase {
  readonly name: string;
  readonly area: Area;
  readonly fault: string;
  /** Whether `deno task test` runs it too. */
  readonly quick: boolean;
  /** Whether it needs the PostgreSQL server that the cases share. */
  readonly usesPostgres?: boolean;
  /**
   * Injects the fault, makes the pipeline recover, and checks the promises.
   *
   * @param repeats the share of the repetitions to run: 1 for all
   * @throws Error if a promise is broken, `Skip` if the machine doesn't allow the fault.
   */
  run(repeats: number): Promise<Outcome>;
}

/** The machine doesn't allow this fault. */
export class Skip extends Error {}
