/**
 * The actor runtime: claim a message, handle it, publish what follows, acknowledge. One loop for every actor.
 *
 * @module
 */
import { getLogger, type Logger, withContext } from "@logtape/logtape";
import type { Channel, Claim, Outgoing } from "../channel/channel.ts";
import type { ChannelName, MessageOn } from "../contracts/channels.ts";
import { LeaseLost, messageOf, PermanentError, TransientError } from "../errors/errors.ts";
import { currentTraceparent, inSpan } from "../telemetry/trace.ts";
import type { Actor, Handling, Planned } from "./actor.ts";
import { backOff, pause, persist } from "./backoff.ts";
import { type Cancellations, NO_CANCELLATIONS } from "./cancel.ts";
import { HandBack, keepLease, type Work } from "./lease.ts";
import { compose, decode } from "./message.ts";
import { News } from "./news.ts";
import { Presence } from "./presence.ts";

/** What the loop needs besides actor and channel. */
export interface ActorContext {
  /** Stops the loop: no more claims; the message at hand is finished, or handed back when `graceMs` is over. */
  readonly signal: AbortSignal;
  /** Milliseconds that the message at hand gets to finish after the stop. Default 8,000. */
  readonly graceMs?: number;
  /** Milliseconds that a message may stay with a dead process before another takes it. Default 30,000. */
  readonly leaseMs?: number | undefined;
  /** Runs that were cancelled. */
  readonly cancellations?: Cancellations;
  /** How often the loop shows that it is alive, in milliseconds. Default 5,000. */
  readonly beatEveryMs?: number;
  /** Called after each message that was settled. */
  readonly onSettled?: (outcome: Outcome["kind"], reason?: string) => void;
}

type Outcome =
  | { kind: "done"; outputs: Outgoing[] }
  | { kind: "again"; reason: string; afterMs: number; outputs: Outgoing[] }
  | { kind: "never"; reason: string; outputs: Outgoing[] }
  | { kind: "handed back"; reason: string }
  | { kind: "lost"; reason: string };

/** Runs `actor` until `signal`; throws only what can't be helped by waiting. */
export async function runActor<C extends ChannelName, P>(
  actor: Actor<C, P>,
  channel: Channel,
  context: ActorContext,
): Promise<void> {
  const { signal, beatEveryMs = 5_000 } = context;
  const log = getLogger(["etl", actor.name]);
  const leaseMs = leaseOf(actor, context);
  await using presence = new Presence(actor, channel);
  for (let misses = 0; !signal.aborted;) {
    await presence.show("idle");
    let claim: Claim | undefined;
    try {
      claim = await nextClaim(channel, actor.mailbox, leaseMs, signal, beatEveryMs);
      misses = 0;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      misses += 1;
      log.warning("cannot reach the channel, trying again", {
        mailbox: actor.mailbox,
        reason: error.message,
      });
      await pause(backOff(misses, { firstMs: 200, maxMs: 10_000 }), signal);
    }
    if (claim === undefined) continue;
    const outcome = await attempt(actor, claim, channel, presence, context);
    const settled = await persist(() => settle(claim, outcome), signal.aborted ? 3 : 10).then(
      () => outcome,
      lost,
    );
    presence.count(settled.kind);
    report(log, claim, settled);
    context.onSettled?.(settled.kind, "reason" in settled ? settled.reason : undefined);
  }
}

function leaseOf(actor: { readonly leaseMs?: number }, context: ActorContext): number {
  return actor.leaseMs ?? context.leaseMs ?? 30_000;
}

/** Waits for a message no longer than until the next beat is due, so that a beat always means that the loop goes round. */
async function nextClaim(
  channel: Channel,
  mailbox: string,
  leaseMs: number,
  signal: AbortSignal,
  beatEveryMs: number,
) {
  const turn = new AbortController();
  const timer = setTimeout(() => turn.abort(), beatEveryMs);
  try {
    return await channel.claim(mailbox, { leaseMs, signal: AbortSignal.any([signal, turn.signal]) });
  } finally {
    clearTimeout(timer);
  }
}

/** Decodes, validates and handles a message, and makes one of few outcomes of whatever happens: the only place that knows the error classes. */
async function attempt<C extends ChannelName, P>(
  actor: Actor<C, P>,
  claim: Claim,
  channel: Channel,
  presence: Presence,
  context: ActorContext,
): Promise<Outcome> {
  const { maxAttempts = 8 } = actor;
  const { cancellations = NO_CANCELLATIONS } = context;
  const news = new News(actor, claim, presence.instance);
  await using work = keepLease(claim, leaseOf(actor, context), context, () => presence.alive());
  try {
    const message = decode(actor.mailbox, claim.body);
    news.about(message.run_id, message);
    refuseSpent(claim, maxAttempts + 1); // the plan itself may be what ends the process
    await presence.show("working", message.run_id);
    const planned = await planOf(actor, message, work, cancellations);
    using _held = planned?.held;
    const runId = planned?.runId ?? message.run_id;
    news.about(runId, message);
    refuseSpent(claim, maxAttempts);
    using _cancellation = cancellations.onCancelled(runId, work.abort);
    work.signal.throwIfAborted();
    if (runId !== message.run_id) await presence.show("working", runId);
    return await withContext({ run_id: runId }, () => {
      const span = {
        traceparent: message.traceparent,
        attributes: { "etl.run_id": runId, "etl.attempt": claim.attempt },
      };
      return inSpan(`${actor.name} ${actor.mailbox}`, span, async () => {
        news.trace(currentTraceparent());
        await channel.publish(...news.started());
        const handling = {
          attempt: claim.attempt,
          signal: work.signal,
          log: getLogger(["etl", actor.name]),
          progress: (progress) => presence.progress(progress),
          tell: ({ to, name, fields }) =>
            channel.publish(compose(to, `${name}/${claim.attempt}`, fields, news.parent)),
        } satisfies Handling;
        const done = await actor.handle(message, handling, planned?.plan as P);
        return {
          kind: "done",
          outputs: [...done.outputs.map((output) => news.output(output)), ...news.completed(done.detail)],
        };
      });
    });
  } catch (thrown) {
    const error = work.signal.aborted ? work.signal.reason : thrown;
    const reason = messageOf(error);
    if (error instanceof LeaseLost) return { kind: "lost", reason };
    if (error instanceof HandBack) return { kind: "handed back", reason };
    if (error instanceof PermanentError) {
      return { kind: "never", reason, outputs: news.failed(reason, error.retryable) };
    }
    if (claim.attempt >= maxAttempts) {
      const spent = `${reason} (given up after ${claim.attempt} tries)`;
      return { kind: "never", reason: spent, outputs: news.failed(spent, true) };
    }
    const afterMs = (error instanceof TransientError ? error.retryAfterMs : undefined) ??
      backOff(claim.attempt);
    return { kind: "again", reason, afterMs, outputs: news.retrying(reason, afterMs) };
  }
}

async function planOf<C extends ChannelName, P>(
  actor: Actor<C, P>,
  message: MessageOn<C>,
  work: Work,
  cancellations: Cancellations,
): Promise<Planned<P> | undefined> {
  using _cancellation = cancellations.onCancelled(message.run_id, work.abort);
  work.signal.throwIfAborted();
  return await actor.plan?.(message, work.signal);
}

function refuseSpent({ attempt }: Claim, maxAttempts: number): void {
  if (attempt <= maxAttempts) return;
  throw new PermanentError(
    `Cannot handle the message: ${
      attempt - 1
    } tries ended without an answer, the process may have died of it.`,
  );
}

async function settle(claim: Claim, outcome: Outcome): Promise<void> {
  switch (outcome.kind) {
    case "done":
      return await claim.complete(...outcome.outputs);
    case "again":
      return await claim.retry(outcome.afterMs, outcome.reason, { outputs: outcome.outputs });
    case "never":
      return await claim.bury(outcome.reason, ...outcome.outputs);
    case "handed back":
      return await claim.retry(0, outcome.reason, { asIfNew: true });
    case "lost":
      return;
  }
}

function lost(error: unknown): Outcome {
  return { kind: "lost", reason: messageOf(error) };
}

function report(log: Logger, claim: Claim, outcome: Outcome): void {
  const facts = { id: claim.id, attempt: claim.attempt, outcome: outcome.kind };
  if (outcome.kind === "done") log.info("message settled", facts);
  else if (outcome.kind === "never") log.error("message given up", { ...facts, reason: outcome.reason });
  else log.warning("message not done yet", { ...facts, reason: outcome.reason });
}
