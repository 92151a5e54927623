/** Limits the size of the database if `KEEP_RUNS_DAYS` is set: removes records and events of old runs. */
import type { Logger } from "@logtape/logtape";
import { keepDoing } from "../shared/actor/backoff.ts";
import { messageOf } from "../shared/errors/errors.ts";
import type { Store } from "../shared/store/store.ts";

interface TrimmingParts {
  readonly store: Pick<Store, "trim">;
  /** Age in days from which a run's records are removed. */
  readonly days: number;
  readonly log: Pick<Logger, "info" | "error">;
}

export const DAY_MS = 24 * 3600 * 1000;

export function oldBefore(days: number, now: number = Date.now()): string {
  return new Date(now - days * DAY_MS).toISOString();
}

/**
 * Removes the records of old runs, now and then once a day, until `signal`. Failures are logged; the next day retries.
 */
export async function keepTrimming({ store, days, log }: TrimmingParts, signal: AbortSignal): Promise<void> {
  await keepDoing(
    async () => log.info("old records removed", { days, ...await store.trim(oldBefore(days), { signal }) }),
    DAY_MS,
    signal,
    (error) => log.error("old records not removed", { days, reason: messageOf(error) }),
  );
}
