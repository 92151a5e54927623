/**
 * Having the services do a run, or a phase of one, and waiting for its end.
 *
 * @module
 */
import { follow } from "../../shared/actor/follow.ts";
import { compose } from "../../shared/actor/message.ts";
import type { Channel, Outgoing } from "../../shared/channel/channel.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { Phase, RunEvent } from "../../shared/contracts/messages.ts";
import type { RunFiles } from "./fixtures.ts";

/** Publishes `messages` and waits until `phase` of run `runId` is told to be complete. @throws Error when the run fails. */
export async function phaseOf(
  channel: Channel,
  runId: string,
  phase: Phase,
  ...messages: Outgoing[]
): Promise<RunEvent> {
  const listening = new AbortController();
  try {
    const bodies = await channel.watch("channel:run_events", listening.signal);
    await channel.publish(...messages);
    for await (const event of follow(runId, bodies)) {
      if (event.type === "phase_completed" && event.phase === phase) return event;
      if ("reason" in event) throw new Error(`Cannot measure: the run says ${event.type}: ${event.reason}`);
    }
    throw new Error(`Cannot measure: run ${runId} has ended without ${phase}.`);
  } finally {
    listening.abort();
  }
}

/** The request for a new run. */
export function startRun(): { runId: string; message: Outgoing } {
  const runId = newRunId();
  return {
    runId,
    message: compose("channel:start_run", `bench/${runId}`, { run_id: runId, requested_by: "bench" }),
  };
}

/** The order to load these files as a new run. */
export function loadOrder({ raw, processed, dead }: RunFiles): { runId: string; message: Outgoing } {
  const runId = newRunId();
  return {
    runId,
    message: compose("channel:phase2_complete", `bench/${runId}`, {
      run_id: runId,
      raw_file: raw.name,
      processed_file: processed.name,
      dlq_file: dead.name,
      valid_count: processed.records,
      invalid_count: dead.records,
      raw_sha256: raw.sha256,
      processed_sha256: processed.sha256,
      dlq_sha256: dead.sha256,
    }),
  };
}
