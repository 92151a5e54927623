/**
 * Phase 3: the three files of a run into the database, then the order to deliver them.
 *
 * @module
 */
import type { Actor, Done } from "../shared/actor/actor.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/jsonl/files.ts";
import type { Store } from "../shared/store/open.ts";
import { loadRun } from "./load.ts";
import { recordEvent } from "./record.ts";

/** The saver: mailbox `channel:phase2_complete`, output `channel:deliver`. Idempotent: what is loaded already is not loaded again. */
export function saver({ store, files }: { store: Store; files: Files }): Actor<"channel:phase2_complete"> {
  return {
    name: "saver",
    mailbox: "channel:phase2_complete",
    phase: "LOADING",
    async handle(message, { signal, progress }): Promise<Done> {
      refuseCancelled(store, message.run_id);
      const detail = await loadRun(message, { store, files, signal, progress });
      return {
        outputs: [{ to: "channel:deliver", name: "deliver", fields: { run_id: message.run_id } }],
        detail: { ...detail },
      };
    },
  };
}

/** A run that was cancelled while nobody who could hear it worked on it ends here. */
function refuseCancelled(store: Store, runId: string): void {
  const cancelled = store.runs.eventsOf([runId]).get(runId)?.find((event) => event.type === "run_cancelled");
  if (cancelled?.type === "run_cancelled") {
    throw new PermanentError(`Cancelled by ${cancelled.requested_by}.`);
  }
}

/** The recorder: mailbox `channel:run_events`; keeps each event and moves the run's row. Repeated events change nothing. */
export function recorder({ store }: { store: Store }): Actor<"channel:run_events"> {
  return {
    name: "recorder",
    mailbox: "channel:run_events",
    maxAttempts: 10_000, // an event that can be read can be kept: only a long load in another process is in the way
    async handle(event): Promise<Done> {
      await recordEvent(store, event);
      return { outputs: [], detail: {} };
    },
  };
}
