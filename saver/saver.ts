/**
 * Phase 3: the three files of a run into the database, then the order to deliver them.
 *
 * @module
 */
import type { Actor, Done } from "../shared/actor/actor.ts";
import { pause } from "../shared/actor/backoff.ts";
import type { Phase2Complete, RunEvent } from "../shared/contracts/messages.ts";
import { childId, parentId } from "../shared/contracts/ids.ts";
import { Cancelled, PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";
import { PHASE1, PHASE2 } from "../shared/files/receipts.ts";
import type { Store } from "../shared/store/sqlite/open.ts";
import { loadRun } from "./load.ts";
import type { Order } from "./notify/order.ts";
import { recordEvent } from "./record.ts";

/** How long the recorder may lag behind a foreign message about the same run, in milliseconds. */
const RECORDER_LAG_MS = 2_000;

/**
 * The saver: mailbox `channel:phase2_complete`, output `channel:deliver`. Idempotent: what is loaded already is not loaded again.
 *
 * A foreign transformer doesn't know the run that its raw file belongs to. Where our extractor wrote the file, that run continues; else the run
 * is the one that was derived from the file's name.
 */
export function saver(
  { store, files }: { store: Store; files: Files },
): Actor<"channel:phase2_complete", string> {
  return {
    name: "saver",
    mailbox: "channel:phase2_complete",
    phase: "LOADING",
    async plan(message) {
      const runId = isForeign(message) ? await runOfFile(store, message) : message.run_id;
      return { runId, plan: runId, after: store.runs.byRunId(runId)?.status_at };
    },
    async handle(message, { signal, progress }, run_id): Promise<Done> {
      refuseUnknown(store, message);
      refuseCancelled(store, run_id, message);
      const detail = await loadRun({ ...message, run_id }, { store, files, signal, progress });
      return {
        outputs: [{ to: "channel:deliver", name: "deliver", fields: { run_id, pipeline: message.pipeline } }],
        detail: { ...detail },
      };
    },
  };
}

function isForeign(message: Phase2Complete): boolean {
  return message.id === undefined;
}

/** The extraction's events precede the file's announcement, but may not have been recorded yet. */
async function runOfFile(store: Store, { raw_file, run_id }: Phase2Complete): Promise<string> {
  for (let waited = 0;; waited += 50) {
    const run = store.runs.byRunId(run_id) ?? store.runs.byRawFile(raw_file);
    if (run !== undefined || waited >= RECORDER_LAG_MS) return run?.run_id ?? run_id;
    await pause(50);
  }
}

function refuseUnknown(store: Store, { pipeline, raw_file }: Phase2Complete): void {
  const known = [...store.records.pipelines().keys()];
  if (known.includes(pipeline)) return;
  throw new PermanentError(
    `Cannot load ${raw_file}: there is no pipeline "${pipeline}", wanted one of ${known.join(", ")}. ` +
      `Put its definition into the pipelines' folder, start the saver again, and replay the dead letter.`,
  );
}

/**
 * A run that was cancelled while no actor worked on it ends here. An order that is newer isn't about the cancellation; one that is only announced
 * again, under its id, is as old as its extraction.
 */
function refuseCancelled(store: Store, runId: string, { id, published_at = "" }: Phase2Complete): void {
  const events = store.runs.eventsOf([runId]).get(runId) ?? [];
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
 * The recorder: mailbox `channel:run_events`, output `channel:notify`; keeps each event and moves the run's row, and orders what is to be told of
 * it. Repeated events change nothing, and order the same.
 */
export function recorder(
  { store, ordersOf = () => [] }: { store: Store; ordersOf?: (event: RunEvent) => Order[] },
): Actor<"channel:run_events"> {
  return {
    name: "recorder",
    mailbox: "channel:run_events",
    maxAttempts: 10_000, // an event that can be read can be kept: only a long load in another process is in the way
    async handle(event): Promise<Done> {
      await recordEvent(store, event);
      const outputs = ordersOf(event).map((fields) => ({
        to: "channel:notify" as const,
        name: fields.notification.type,
        fields,
      }));
      return { outputs, detail: {} };
    },
  };
}
