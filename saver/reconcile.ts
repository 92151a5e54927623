/**
 * Restores messages from disk and database: transformed files must be loaded, and a loaded run needs a delivery order,
 * even if the queue was lost.
 *
 * A queue can lose messages: its file is removed, a backup is restored, or a failover goes to a replica that lagged
 * behind. A message is published under its old id, so a mailbox that still knows it ignores it.
 */
import { getLogger } from "@logtape/logtape";
import { keepDoing } from "../shared/actor/backoff.ts";
import { compose, type Fields } from "../shared/actor/message.ts";
import type { Channel, Outgoing } from "../shared/channel/channel.ts";
import { childId, newRunId, parentId } from "../shared/contracts/ids.ts";
import {
  isFinal,
  OUTCOMES_EVERY_MS,
  RUN_STATUSES,
  type RunEvent,
  SinceRange,
} from "../shared/contracts/messages.ts";
import { messageOf, TransientError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";
import { PHASE2, phase2Of, receiptsExcept } from "../shared/files/receipts.ts";
import { announced, outcomeOf } from "./gatekeeper.ts";
import type { RunRow } from "../shared/store/rows.ts";
import { runPages } from "../shared/store/run_pages.ts";
import type { Store } from "../shared/store/store.ts";

/** How often the database is compared with the queue, in milliseconds. */
const EVERY_MS = 3_600_000;

/** How soon to retry if the channel or the disk is unavailable, in milliseconds. */
const AGAIN_MS = 15_000;

/** A run that was loaded this recently may still get its order, in milliseconds. */
const SETTLING_MS = 60_000;

/**
 * Publishes what `unloaded` and `pendingOrders` find, now and every hour, and what `releasedRuns` and `outcomes` find, now
 * and every ten minutes, until `signal`.
 */
export async function keepReconciling(
  { store, files, channel }: { store: Store; files: Files; channel: Channel },
  signal: AbortSignal,
): Promise<void> {
  const loads = async () => {
    for await (const message of unloaded(store, files)) await channel.publish(message);
  };
  const orders = async () => {
    for await (const batch of pendingOrders(store)) await channel.publish(...batch);
  };
  const decisions = async () => {
    await channel.publish(...await releasedRuns(store));
    for (const [pipeline, messages] of await outcomes(store)) {
      // without a listener, as with a foreign extractor, one message is enough
      await channel.publishIfIdle("channel:run_outcome", `"pipeline":"${pipeline}"`, ...messages);
    }
  };
  const current = async () => {
    const runs = await store.fillCurrent({ signal });
    if (runs > 0) getLogger(["etl", "saver"]).info("current state filled", { runs });
  };
  // an unreadable folder must neither stop the service nor prevent orders
  const keep = (work: () => Promise<void>, everyMs = EVERY_MS) =>
    keepDoing(work, everyMs, signal, (error) => {
      const reason = messageOf(error);
      getLogger(["etl", "saver"]).warning("loads and deliveries not reconciled", { reason });
      return error instanceof TransientError ? AGAIN_MS : everyMs;
    });
  await Promise.all([keep(loads), keep(orders), keep(decisions, OUTCOMES_EVERY_MS), keep(current)]);
}

/**
 * The announcements of all files that are transformed and not loaded, of any age. Runs that have otherwise ended, or
 * were held, are left out.
 */
async function* unloaded(store: Store, files: Files): AsyncGenerator<Outgoing> {
  for await (const receipt of receiptsExcept(files, await store.runs.loadedFiles())) {
    const { announced } = receipt;
    const run = await store.runs.byRunId(announced.run_id);
    if (run !== undefined && (isFinal(run.status) || await store.holds.of(run.run_id) !== undefined)) {
      continue;
    }
    const { id, fields } = phase2Of(announced, receipt);
    yield compose("channel:phase2_complete", id, fields);
  }
}

/** The orders of all runs that are loaded and not final, of any age, in batches. */
export async function* pendingOrders(
  store: Store,
  now: number = Date.now(),
): AsyncGenerator<Outgoing[]> {
  const status = RUN_STATUSES.filter((status) => !isFinal(status));
  for await (const runs of runPages(store.runs, { status, loaded: true })) {
    const events = await store.runs.eventsOf(runs.map(({ run_id }) => run_id));
    yield runs.flatMap((run) => {
      const id = orderId(run, events.get(run.run_id) ?? [], now);
      return id === undefined
        ? []
        : [compose("channel:deliver", id, { run_id: run.run_id, pipeline: run.pipeline })];
    });
  }
}

/** The announcements of all released runs that aren't loaded. */
async function releasedRuns(store: Store): Promise<Outgoing[]> {
  return (await store.holds.released()).map((hold) =>
    compose("channel:phase2_complete", childId(hold.order_id!, PHASE2), announced(hold))
  );
}

/**
 * What the extractor must know about each pipeline: the held or last held run, and what was loaded last. Each message
 * has a new id, so that an extractor that has lost its state gets it again.
 */
async function outcomes(store: Store): Promise<Map<string, Outgoing[]>> {
  const messages = new Map<string, Outgoing[]>();
  const say = (fields: Fields<"channel:run_outcome">) => {
    const message = compose("channel:run_outcome", `outcome/${newRunId()}`, fields);
    messages.set(fields.pipeline, [...messages.get(fields.pipeline) ?? [], message]);
  };
  for (const hold of await store.holds.latest()) say(outcomeOf(hold));
  for (const pipeline of (await store.records.pipelines()).keys()) {
    const run = await store.runs.lastLoaded(pipeline);
    const since = sinceOf(run);
    if (since !== undefined) say({ run_id: run!.run_id, pipeline, outcome: "loaded", since });
  }
  return messages;
}

/** The range that a run requested; undefined if it requested everything. */
export function sinceOf(run: Pick<RunRow, "since"> | undefined): SinceRange | undefined {
  return run?.since == null ? undefined : SinceRange.safeParse(JSON.parse(run.since)).data;
}

/**
 * The id of a run's first order derives from that of the message whose load has ended. The id of the event that reports
 * that end derives from it too.
 */
function orderId(run: RunRow, events: readonly RunEvent[], now: number): string | undefined {
  const loaded = events.find((event) => event.type === "phase_completed" && event.phase === "LOADING");
  if (loaded !== undefined) return childId(parentId(loaded.id, 2), "deliver");
  return now - Date.parse(run.loaded_at!) < SETTLING_MS ? undefined : `reconcile/${run.run_id}`;
}
