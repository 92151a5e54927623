/**
 * The phases and statuses of a run, for all services and browsers.
 *
 * @module
 */

/** The phases of a run, in order; each is also the run's status during the phase. */
export const PHASES = ["EXTRACTING", "TRANSFORMING", "LOADING", "DELIVERING"] as const;
/** A phase of a run. */
export type Phase = (typeof PHASES)[number];

/** Every status that a run can have. */
export const RUN_STATUSES = [
  "REQUESTED",
  ...PHASES,
  "HELD",
  "DELIVERY_PENDING",
  "COMPLETED",
  "FAILED",
] as const;
/** The status of a run. */
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Whether a run with this status has ended. A held run hasn't: a person decides whether it continues. */
export function isFinal(status: RunStatus): boolean {
  return status === "COMPLETED" || status === "FAILED";
}
