/** Cancelling runs: the request reaches the actor that works on the run. */
import type { Channel } from "../channel/channel.ts";
import type { RunEvent } from "../contracts/messages.ts";
import { Cancelled } from "../errors/errors.ts";
import { listen } from "./listen.ts";

export interface Cancellations {
  /**
   * Calls `then` with the reason, now or later, if the run is cancelled; disposing ends that. Cancellations before
   * `since`, the time of a request, are ignored: the request is newer.
   */
  onCancelled(runId: string, then: (reason: Error) => void, since?: string): Disposable;
}

export const NO_CANCELLATIONS: Cancellations = { onCancelled: () => ({ [Symbol.dispose]() {} }) };

/** The cancellations since `listen` began. Earlier ones are in the database, and are enforced at the load. */
export class HeardCancellations implements Cancellations {
  readonly #cancelled = new Map<string, { reason: Error; at: string }>();
  readonly #working = new Map<string, Set<{ since: string; then: (reason: Error) => void }>>();

  listen(channel: Channel, signal: AbortSignal): Promise<void> {
    return listen(channel, "channel:run_events", (event) => this.#hear(event), signal);
  }

  onCancelled(runId: string, then: (reason: Error) => void, since = ""): Disposable {
    const cancelled = this.#cancelled.get(runId);
    if (cancelled !== undefined && cancelled.at >= since) then(cancelled.reason);
    const others = this.#working.get(runId) ?? new Set();
    const own = { since, then };
    this.#working.set(runId, others.add(own));
    return {
      [Symbol.dispose]: () => {
        others.delete(own);
        if (others.size === 0) this.#working.delete(runId);
      },
    };
  }

  #hear(event: RunEvent): void {
    if (event.type !== "run_cancelled") return;
    const reason = new Cancelled(`Cancelled by ${event.requested_by}.`);
    this.#cancelled.set(event.run_id, { reason, at: event.published_at });
    for (const { since, then } of this.#working.get(event.run_id) ?? []) {
      if (event.published_at >= since) then(reason);
    }
  }
}
