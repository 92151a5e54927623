/** Decides whether a finished run is complete; nothing else does. */

export interface Ended {
  /** Without repeated ones. */
  readonly records: number;
  /**
   * The most that the source announced: records beyond a later, smaller number may be deleted, or withheld. Undefined where it announces
   * nothing.
   */
  readonly announced: number | undefined;
}

/** How many announced records are missing, and whether changes during the read can't explain that. */
export interface Ending {
  readonly missing: number;
  readonly isComplete: boolean;
}

/** How many of a source's records may disappear or move during the read: a tenth, and at least 10, but never more than half. */
export function tolerance(announced: number): number {
  return Math.min(Math.max(announced / 10, 10), announced / 2);
}

export function ending({ records, announced = records }: Ended): Ending {
  const missing = Math.max(announced - records, 0);
  return { missing, isComplete: missing <= tolerance(announced) };
}
