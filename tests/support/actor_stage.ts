/**
 * A stage for one actor: a channel, the actor's loop, and its log.
 *
 * @module
 */
import type { Actor, Handling } from "../../shared/actor/actor.ts";
import { HeardCancellations } from "../../shared/actor/cancel.ts";
import { compose, decode } from "../../shared/actor/message.ts";
import { runActor } from "../../shared/actor/run_actor.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openTemporaryChannel } from "./temporary_channel.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";

export type Handle = Actor<"channel:phase1_complete">["handle"];

/** Creates a channel and runs an actor with `handle` on it. */
export async function stage(
  handle: Handle,
  { leaseMs, ...options }: Partial<Actor<"channel:phase1_complete">> & { leaseMs?: number } = {},
  open: () => Channel | Promise<Channel> = openTemporaryChannel,
) {
  const channel = await open();
  const stop = new AbortController();
  const cancellations = new HeardCancellations();
  const settled: string[] = [];
  const waiting: { after: number; resolve: () => void }[] = [];
  const actor: Actor<"channel:phase1_complete"> = {
    name: "transformer",
    mailbox: "channel:phase1_complete",
    phase: "TRANSFORMING",
    handle,
    ...options,
  };
  const listening = cancellations.listen(channel, stop.signal);
  const running = runActor(actor, channel, {
    signal: stop.signal,
    graceMs: 50,
    leaseMs,
    cancellations,
    onSettled: (kind) => {
      settled.push(kind);
      for (const waiter of waiting) if (settled.length >= waiter.after) waiter.resolve();
    },
  });
  return {
    channel,
    settled,
    stop: () => stop.abort(),
    running,
    /** Resolves once `after` messages are settled. */
    settledTimes(after: number): Promise<void> {
      return new Promise((resolve) => settled.length >= after ? resolve() : waiting.push({ after, resolve }));
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all([running, listening]);
      await channel[Symbol.asyncDispose]();
    },
  };
}

/** Publishes a message to the actor; returns its run. */
export async function give(channel: Channel, runId = newRunId()): Promise<string> {
  await channel.publish(
    compose("channel:phase1_complete", `m/${runId}`, {
      run_id: runId,
      raw_file: "data/raw_users/records_20261124_030000.jsonl",
    }),
  );
  return runId;
}

/** Takes the events so far from their mailbox. */
export async function eventsOf(channel: Channel): Promise<RunEvent[]> {
  const mailbox = "channel:run_events";
  const events: RunEvent[] = [];
  while ((await channel.mailbox(mailbox).state()).depth > 0) {
    const claim = await channel.claim(mailbox, { leaseMs: 60_000, signal: new AbortController().signal });
    events.push(decode(mailbox, claim!.body));
    await claim!.complete();
  }
  return events;
}

/** A handler that does nothing. */
export const nothing: Handle = () => Promise.resolve({ outputs: [], detail: {} });

/** A handler that ends only by its signal. */
export function endless({ signal }: Handling): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}
