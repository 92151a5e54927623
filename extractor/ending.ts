/** Decides whether a finished run is complete; nothing else does. */

interface Ended {
  /** Without repeated records. */
  readonly records: number;
  /**
   * The greatest number that the source announced: a later, smaller number may mean that records were deleted or
   * withheld. Undefined if the source announces none.
   */
  readonly announced: number | undefined;
}

/** How many announced records are missing, and whether that is more than changes during the read can explain. */
interface Ending {
  readonly missing: number;
  readonly isComplete: boolean;
}

/** How many of a source's records may disappear or move during the read: a tenth, at least 10, at most half. */
export function tolerance(announced: number): number {
  return Math.min(Math.max(announced / 10, 10), announced / 2);
}

export function ending({ records, announced = records }: Ended): Ending {
  const missing = Math.max(announced - records, 0);
  return { missing, isComplete: missing <= tolerance(announced) };
}
