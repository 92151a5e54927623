/**
 * Cancelling runs: a request that reaches whoever works on the run now.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Channel } from "../channel/channel.ts";
import { messageOf, PermanentError, TransientError } from "../errors/errors.ts";
import { backOff, pause } from "./backoff.ts";
import { decode } from "./message.ts";

/** Tells who works on a run that it was cancelled. */
export interface Cancellations {
  /** Calls `then` with the reason, at once or later, if the run is cancelled; disposing ends that. */
  onCancelled(runId: string, then: (reason: Error) => void): Disposable;
}

/** For where nothing is ever cancelled. */
export const NO_CANCELLATIONS: Cancellations = { onCancelled: () => ({ [Symbol.dispose]() {} }) };

const log = getLogger(["etl", "cancel"]);

/**
 * The cancelled runs that were heard of since `listen` began. What was cancelled while nobody listened is known to the database, and refused
 * at the load.
 */
export class HeardCancellations implements Cancellations {
  readonly #cancelled = new Map<string, Error>();
  readonly #working = new Map<string, Set<(reason: Error) => void>>();

  /** Listens to `channel:run_events` until `signal`, also over times in which the channel is away. */
  async listen(channel: Channel, signal: AbortSignal): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        for await (const body of await channel.watch("channel:run_events", signal)) {
          failures = 1;
          if (body.includes("run_cancelled")) this.#hear(body);
        }
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        log.debug("cannot listen for cancelled runs, trying again", { reason: error.message });
        await pause(backOff(failures, { firstMs: 200, maxMs: 10_000 }), signal);
      }
    }
  }

  /** As `Cancellations`. */
  onCancelled(runId: string, then: (reason: Error) => void): Disposable {
    const reason = this.#cancelled.get(runId);
    if (reason !== undefined) then(reason);
    const others = this.#working.get(runId) ?? new Set();
    this.#working.set(runId, others.add(then));
    return {
      [Symbol.dispose]: () => {
        others.delete(then);
        if (others.size === 0) this.#working.delete(runId);
      },
    };
  }

  #hear(body: string): void {
    try {
      const event = decode("channel:run_events", body);
      if (event.type !== "run_cancelled") return;
      const reason = new PermanentError(`Cancelled by ${event.requested_by}.`);
      this.#cancelled.set(event.run_id, reason);
      for (const then of this.#working.get(event.run_id) ?? []) then(reason);
    } catch (error) {
      log.warning("unreadable event passed over", { reason: messageOf(error) });
    }
  }
}
