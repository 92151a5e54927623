import type { Actor, Done, OutputOn } from "../shared/actor/actor.ts";
import { pause } from "../shared/actor/backoff.ts";
import type { Phase2Complete, RunEvent } from "../shared/contracts/messages.ts";
import { childId, parentId } from "../shared/contracts/ids.ts";
import { Busy, Cancelled, PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";
import { PHASE1, PHASE2 } from "../shared/files/receipts.ts";
import { hold, type Limits } from "./gate.ts";
import { loadRun } from "./load.ts";
import type { Order } from "../shared/contracts/notification_order.ts";
import { sinceOf } from "./reconcile.ts";
import type { Store } from "../shared/store/store.ts";
import { planFor } from "./plan.ts";

/** How often a run that waits behind a held one checks for a decision, in milliseconds. */
const HELD_AGAIN_MS = 3_000;

/** How long the recorder may lag behind a foreign message about the same run, in milliseconds. */
const RECORDER_LAG_MS = 2_000;

/**
 * The saver: mailbox `channel:phase2_complete`, output `channel:deliver`. Idempotent: loaded files aren't loaded again.
 *
 * A run beyond its pipeline's limits is held: nothing of it is loaded or delivered until a person has released it, and
 * the pipeline's later runs wait. Correction runs are made by people, and aren't held.
 *
 * A foreign transformer doesn't know the run of its raw file. If this pipeline's extractor wrote the file, that run
 * continues; else the run id is derived from the file's name.
 */
export function saver(
  { store, files, limitsOf = () => undefined }: {
    store: Store;
    files: Files;
    /** Undefined if runs of a pipeline are never held. */
    limitsOf?: (pipeline: string, isWhole: boolean) => Limits | undefined;
  },
): Actor<"channel:phase2_complete", string> {
  /** Why the run is held, if it is. A partly loaded run has already passed this check. */
  async function heldFor(
    message: Phase2Complete & { run_id: string },
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { run_id, pipeline, correction_of } = message;
    const known = await store.holds.of(run_id);
    if (known?.decision === "rejected") throw new Cancelled(`Rejected by ${known.decided_by}.`);
    if (known !== undefined) return known.decision === null ? known.reason : undefined;
    if (correction_of !== undefined) return undefined;
    // another program doesn't report how much of its source it has extracted
    const isWhole = message.completeness !== undefined ||
      (await store.runs.byRunId(run_id))?.completeness != null;
    const limits = limitsOf(pipeline, isWhole);
    const isLoading = ((await store.runs.filesOf([run_id])).get(run_id) ?? []).length > 0;
    if (limits === undefined || isLoading) return undefined;
    const refuse = () => refuseCancelled(store, run_id, message);
    return await hold(message, { store, files, limits, signal, refuse });
  }

  return {
    name: "saver",
    mailbox: "channel:phase2_complete",
    phase: "LOADING",
    async plan(message) {
      const runId = isForeign(message) ? await runOfFile(store, message) : message.run_id;
      await waitForHeld(store, runId, message);
      return await planFor(store, runId, runId);
    },
    async handle(message, { signal, progress }, run_id): Promise<Done> {
      await refuseUnknown(store, message);
      await refuseCancelled(store, run_id, message);
      const { pipeline } = message;
      const held = await heldFor({ ...message, run_id }, signal);
      if (held !== undefined) {
        const { valid_count: valid, invalid_count: invalid } = message;
        return {
          outputs: [{
            to: "channel:run_outcome",
            name: "held",
            fields: { run_id, pipeline, outcome: "held" },
          }],
          detail: { valid, invalid },
          held,
        };
      }
      const detail = await loadRun({ ...message, run_id }, { store, files, signal, progress });
      const since = sinceOf(await store.runs.byRunId(run_id));
      return {
        outputs: [
          { to: "channel:deliver", name: "deliver", fields: { run_id, pipeline } },
          ...since === undefined ? [] : [{
            to: "channel:run_outcome" as const,
            name: "loaded",
            fields: { run_id, pipeline, outcome: "loaded" as const, since },
          }],
        ],
        detail: { ...detail },
      };
    },
  };
}

/** Later runs wait for a held run, and for its load once it is released. Waiting costs no attempt. */
async function waitForHeld(
  store: Store,
  runId: string,
  { pipeline, correction_of }: Phase2Complete,
): Promise<void> {
  if (correction_of !== undefined) return;
  const front = await store.holds.inFront(pipeline);
  if (front === undefined || front.run_id === runId) return;
  throw new Busy(`Run ${runId} waits: run ${front.run_id} of the same pipeline is held.`, {
    retryAfterMs: HELD_AGAIN_MS,
  });
}

function isForeign(message: Phase2Complete): boolean {
  return message.id === undefined;
}

/** The extraction's events precede the file's announcement, but may not have been recorded yet. */
async function runOfFile(store: Store, { raw_file, run_id }: Phase2Complete): Promise<string> {
  for (let waited = 0;; waited += 50) {
    const run = await store.runs.byRunId(run_id) ?? await store.runs.byRawFile(raw_file);
    if (run !== undefined || waited >= RECORDER_LAG_MS) return run?.run_id ?? run_id;
    await pause(50);
  }
}

async function refuseUnknown(store: Store, { pipeline, raw_file }: Phase2Complete): Promise<void> {
  const known = [...(await store.records.pipelines()).keys()];
  if (known.includes(pipeline)) return;
  throw new PermanentError(
    `Cannot load ${raw_file}: there is no pipeline "${pipeline}", wanted one of ${known.join(", ")}. ` +
      `Put its definition into the pipelines' folder, start the saver again, and replay the dead letter.`,
  );
}

/**
 * Ends a run that was cancelled while no actor worked on it. A cancellation doesn't affect a newer order. An
 * announcement repeated under its old id is as old as its extraction.
 */
async function refuseCancelled(
  store: Store,
  runId: string,
  { id, published_at = "" }: Phase2Complete,
): Promise<void> {
  const events = (await store.runs.eventsOf([runId])).get(runId) ?? [];
  const extracted = events.find((event) =>
    "phase" in event && event.phase === "EXTRACTING" &&
    childId(childId(parentId(event.id, 2), PHASE1), PHASE2) === id
  );
  const since = extracted?.published_at ?? published_at;
  for (const event of events) {
    if (event.type !== "run_cancelled" || event.published_at < since) continue;
    throw new Cancelled(`Cancelled by ${event.requested_by}.`);
  }
}

/**
 * The recorder: mailbox `channel:run_events`, output `channel:notify`. Stores each event, updates the run's row, and
 * orders the resulting notifications. Repeated events change nothing, and order the same notifications. A held run that
 * is cancelled is rejected.
 */
export function recorder(
  { store, ordersOf = () => Promise.resolve([]) }: {
    store: Store;
    ordersOf?: (event: RunEvent) => Promise<Order[]>;
  },
): Actor<"channel:run_events"> {
  return {
    name: "recorder",
    mailbox: "channel:run_events",
    maxAttempts: 10_000, // every readable event can be stored: only a long load in another process delays it
    async handle(event): Promise<Done> {
      await store.record([event]);
      const orders = (await ordersOf(event)).map((fields) => ({
        to: "channel:notify" as const,
        name: fields.notification.type,
        fields,
      }));
      return { outputs: [...orders, ...await rejections(store, event)], detail: {} };
    },
  };
}

async function rejections(store: Store, event: RunEvent): Promise<OutputOn<"channel:decision">[]> {
  if (event.type !== "run_cancelled" || (await store.holds.of(event.run_id))?.decision !== null) return [];
  const { run_id, pipeline, requested_by } = event;
  return [{
    to: "channel:decision",
    name: "rejected",
    fields: { run_id, pipeline, decision: "rejected", requested_by },
  }];
}
