/**
 * Cancelling runs: a request that reaches whoever works on the run now.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Channel } from "../channel/channel.ts";
import { PermanentError } from "../errors/errors.ts";
import { decode } from "./message.ts";

/** Tells who works on a run that it was cancelled. */
export interface Cancellations {
  /** Calls `then` with the reason, at once or later, if the run is cancelled; disposing ends that. */
  onCancelled(runId: string, then: (reason: Error) => void): Disposable;
}

/** For where nothing is ever cancelled. */
export const NO_CANCELLATIONS: Cancellations = { onCancelled: () => ({ [Symbol.dispose]() {} }) };

/**
 * Listens to `channel:run_events` for cancelled runs until `signal`. What was cancelled while nobody listened is known to the database, and
 * refused at the load.
 */
export async function listenForCancellations(
  channel: Channel,
  signal: AbortSignal,
): Promise<Cancellations & { ended: Promise<void> }> {
  const cancelled = new Map<string, Error>();
  const working = new Map<string, Set<(reason: Error) => void>>();
  const events = await channel.watch("channel:run_events", signal);
  const ended = (async () => {
    for await (const body of events) {
      if (!body.includes("run_cancelled")) continue;
      try {
        const event = decode("channel:run_events", body);
        if (event.type !== "run_cancelled") continue;
        const reason = new PermanentError(`Cancelled by ${event.requested_by}.`);
        cancelled.set(event.run_id, reason);
        for (const then of working.get(event.run_id) ?? []) then(reason);
      } catch (error) {
        getLogger(["etl", "cancel"]).warning("unreadable event passed over", {
          reason: error instanceof Error ? error.message : String(error),
        });
      }
    }
  })();
  return {
    ended,
    onCancelled(runId, then) {
      const reason = cancelled.get(runId);
      if (reason !== undefined) then(reason);
      const others = working.get(runId) ?? new Set();
      working.set(runId, others.add(then));
      return {
        [Symbol.dispose]() {
          others.delete(then);
          if (others.size === 0) working.delete(runId);
        },
      };
    },
  };
}
