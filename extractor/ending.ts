/**
 * Whether a run that came to its end is complete. The only place that decides it.
 *
 * @module
 */

/** What came, and what was announced. */
export interface Ended {
  /** Without those that came again. */
  readonly records: number;
  /** The most that the source announced: what fell since may be gone, or kept back. Undefined where it announces nothing. */
  readonly announced: number | undefined;
}

/** What a run lacks of what was announced, and whether that is more than changes while reading explain. */
export interface Ending {
  readonly missing: number;
  readonly isComplete: boolean;
}

/** How many of a source's records may disappear or move while it is read: a tenth, and at least 10, but never more than half. */
export function tolerance(announced: number): number {
  return Math.min(Math.max(announced / 10, 10), announced / 2);
}

export function ending({ records, announced = records }: Ended): Ending {
  const missing = Math.max(announced - records, 0);
  return { missing, isComplete: missing <= tolerance(announced) };
}
