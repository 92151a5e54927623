/**
 * Telling again what the channel may have forgotten.
 *
 * A channel can lose the end of its history: a failover to a replica that lagged behind, a backup that was put back, a queue file that was
 * moved away. The extractor remembers on its own disk which runs it has finished and which one it works on, so it publishes their messages
 * again, under their ids: a mailbox passes over what it knows, and takes what it has lost.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../shared/actor/backoff.ts";
import { compose } from "../shared/actor/message.ts";
import type { Channel, Outgoing } from "../shared/channel/channel.ts";
import { messageOf, TransientError } from "../shared/errors/errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { phase1Of } from "./extract.ts";

/** Runs of this time are told again, in milliseconds: a day. A mailbox remembers ids for longer than that. */
const TOLD_FOR_MS = 24 * 3_600_000;

/** A run that has just come to its end is left to whoever works on it, in milliseconds. */
const SETTLING_MS = 5_000;

/** How often runs are told again, in milliseconds. */
const EVERY_MS = 15_000;

/**
 * The messages of the last day's runs: that a raw file is complete, or that the run that is unfinished is wanted. Corrections are left out, as
 * only the request for one says what it corrects, and so are runs that somebody asked for with a message without an id.
 */
export function remembered({ current, completed }: Checkpoint, now: number = Date.now()): Outgoing[] {
  const since = (time: string | undefined) => now - (time === undefined ? 0 : Date.parse(time));
  const finished = completed.filter((run) =>
    run.message_id !== run.run_id && run.detail.correction_of === undefined &&
    since(run.finished_at) > SETTLING_MS && since(run.finished_at) < TOLD_FOR_MS
  );
  const messages = finished.map((run) => {
    const { to, name, fields } = phase1Of(run);
    return compose(to, name, fields, { id: run.message_id });
  });
  if (current?.message_id === undefined || since(current.started_at) > TOLD_FOR_MS) return messages;
  const fields = { run_id: current.run_id, requested_by: "extractor" };
  return [...messages, compose("channel:start_run", current.message_id, fields)];
}

/** Tells again what `open` remembers, now and every so often, until `signal`. */
export async function runReannounce(
  channel: Channel,
  open: () => Promise<Checkpoint>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await channel.publish(...remembered(await open()));
    } catch (error) {
      // a state that can't be used fails the run that asks for it, with the reason; it doesn't end the service
      const level = error instanceof TransientError ? "debug" : "warning";
      getLogger(["etl", "extractor"])[level]("runs not announced again", { reason: messageOf(error) });
    }
    await pause(EVERY_MS, signal);
  }
}
