/**
 * Orders of delivery from the database: a run that is loaded and not final needs one, whatever became of the queue.
 *
 * A queue can lose messages: its file is removed, a backup is restored, a failover goes to a replica that lagged behind. The order is published
 * under the id that it had, so a mailbox that still knows it passes it over.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../shared/actor/backoff.ts";
import { compose } from "../shared/actor/message.ts";
import type { Channel, Outgoing } from "../shared/channel/channel.ts";
import { childId, parentId } from "../shared/contracts/ids.ts";
import { isFinal, RUN_STATUSES, type RunEvent } from "../shared/contracts/messages.ts";
import { messageOf, TransientError } from "../shared/errors/errors.ts";
import type { Store } from "../shared/store/sqlite/open.ts";
import type { RunRow } from "../shared/store/sqlite/runs.ts";

/** How often the database is compared with the queue, in milliseconds. */
const EVERY_MS = 3_600_000;

/** A run that was loaded this recently may still be on its way to its order, in milliseconds. */
const SETTLING_MS = 60_000;

const RUNS_AT_ONCE = 100;

/** Publishes the orders that `pendingOrders` finds, now and every hour, until `signal`. */
export async function keepReconciling(
  { store, channel }: { store: Store; channel: Channel },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for (const orders of pendingOrders(store)) await channel.publish(...orders);
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      getLogger(["etl", "saver"]).warning("deliveries not reconciled", { reason: messageOf(error) });
    }
    await pause(EVERY_MS, signal);
  }
}

/** The orders of all runs that are loaded and not final, of any age, in batches. */
export function* pendingOrders(store: Store, now: number = Date.now()): Generator<Outgoing[]> {
  const status = RUN_STATUSES.filter((status) => !isFinal(status));
  for (let offset = 0;; offset += RUNS_AT_ONCE) {
    const runs = store.runs.list({ status, loaded: true }, { limit: RUNS_AT_ONCE, offset });
    const events = store.runs.eventsOf(runs.map(({ run_id }) => run_id));
    yield runs.flatMap((run) => {
      const id = orderId(run, events.get(run.run_id) ?? [], now);
      return id === undefined ? [] : [compose("channel:deliver", id, { run_id: run.run_id })];
    });
    if (runs.length < RUNS_AT_ONCE) return;
  }
}

/** The id of a run's first order follows from that of the message whose load has ended, and so does the id of the event that says so. */
function orderId(run: RunRow, events: readonly RunEvent[], now: number): string | undefined {
  const loaded = events.find((event) => event.type === "phase_completed" && event.phase === "LOADING");
  if (loaded !== undefined) return childId(parentId(loaded.id, 2), "deliver");
  return now - Date.parse(run.loaded_at!) < SETTLING_MS ? undefined : `reconcile/${run.run_id}`;
}
