/**
 * The actor runtime: claims a message, handles it, publishes its outputs, acknowledges it. One loop serves every actor.
 */
import { getLogger, type Logger, withContext } from "@logtape/logtape";
import type { Channel, Claim, Outgoing } from "../channel/channel.ts";
import type { ChannelName, MessageOn } from "../contracts/channels.ts";
import { plausibleTime } from "../contracts/ids.ts";
import {
  Busy,
  Cancelled,
  LeaseLost,
  messageOf,
  NoSpace,
  PermanentError,
  TransientError,
} from "../errors/errors.ts";
import { currentTraceparent, inSpan } from "../telemetry/trace.ts";
import { type Actor, type Planned, STALL_MS } from "./actor.ts";
import { backOff, pause, persist } from "./backoff.ts";
import { type Cancellations, NO_CANCELLATIONS } from "./cancel.ts";
import { HandBack, keepLease, Stuck, type Work } from "./lease.ts";
import { compose, decode } from "./message.ts";
import { News } from "./news.ts";
import { ReportedRetries } from "./retries.ts";
import { Presence } from "./presence.ts";

/** How often an idle loop sends a beat, in milliseconds. */
const BEAT_EVERY_MS = 5_000;

/** How long a message waits for disk space, in milliseconds: a week, as for an unavailable server. */
const WAIT_FOR_SPACE_MS = 7 * 24 * 3_600_000;

const MAX_ATTEMPTS = 8;

const LEASE_MS = 30_000;

interface ActorContext {
  /** Stops the loop: it claims no more messages, and the current one is finished, or handed back after `graceMs`. */
  readonly signal: AbortSignal;
  /** Milliseconds to finish the current message after the stop. Default 8,000. */
  readonly graceMs?: number;
  /** Milliseconds that a message stays claimed by a killed process before another one takes it. Default 30,000. */
  readonly leaseMs?: number | undefined;
  readonly cancellations?: Cancellations;
  /** Milliseconds that a handler has to end once its signal is aborted. Default 30,000. */
  readonly endMs?: number;
  /** Called after each settled message. */
  readonly onSettled?: (outcome: Outcome["kind"], reason?: string) => void;
}

type Outcome =
  | { kind: "done"; outputs: Outgoing[] }
  | { kind: "again"; reason: string; afterMs: number; asIfNew?: boolean; outputs: Outgoing[] }
  | { kind: "never"; reason: string; outputs: Outgoing[] }
  | { kind: "busy"; reason: string; afterMs: number }
  | { kind: "handed back"; reason: string }
  | { kind: "lost"; reason: string };

interface Loop {
  readonly channel: Channel;
  readonly context: ActorContext;
  readonly presence: Presence;
  readonly retries: ReportedRetries;
}

/**
 * Runs `actor` until `signal`. Throws errors that waiting can't resolve. Also throws when an aborted handler doesn't
 * end: the process must then end, so that another one takes over.
 */
export async function runActor<C extends ChannelName, P>(
  actor: Actor<C, P>,
  channel: Channel,
  context: ActorContext,
): Promise<void> {
  const { signal, leaseMs = LEASE_MS } = context;
  const log = getLogger(["etl", actor.name]);
  await using presence = new Presence(actor, channel);
  await channel.listening(actor.mailbox, signal);
  const loop: Loop = { channel, context, presence, retries: new ReportedRetries() };
  for (let misses = 0; !signal.aborted;) {
    await presence.show("idle");
    let claim: Claim | undefined;
    try {
      claim = await nextClaim(channel, actor.mailbox, leaseMs, signal);
      misses = 0;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      misses += 1;
      log.warning("cannot reach the channel, retrying", {
        mailbox: actor.mailbox,
        reason: error.message,
      });
      await pause(backOff(misses, { firstMs: 200, maxMs: 10_000 }), signal);
    }
    if (claim === undefined) continue;
    const { outcome, isStuck } = await attempt(actor, claim, loop);
    const settled = await settleSurely(claim, outcome, signal);
    if (settled.kind === "lost") loop.retries.forget(claim.id); // its events are lost too
    presence.count(settled.kind);
    report(log, claim, settled);
    context.onSettled?.(settled.kind, "reason" in settled ? settled.reason : undefined);
    if (isStuck && !signal.aborted) {
      throw new PermanentError(
        `Cannot run the ${actor.name} any longer: its work on message "${claim.id}" hangs and did not end when it was stopped. ` +
          `Start the service again; the message will be retried.`,
      );
    }
  }
}

/**
 * Waits for a message until the next beat is due at the latest, so that a beat always proves that the loop is running.
 */
async function nextClaim(channel: Channel, mailbox: string, leaseMs: number, signal: AbortSignal) {
  const turn = new AbortController();
  const timer = setTimeout(() => turn.abort(), BEAT_EVERY_MS);
  try {
    return await channel.claim(mailbox, { leaseMs, signal: AbortSignal.any([signal, turn.signal]) });
  } finally {
    clearTimeout(timer);
  }
}

/** One try to handle a message, with one of few outcomes. Only this function distinguishes the error classes. */
async function attempt<C extends ChannelName, P>(
  actor: Actor<C, P>,
  claim: Claim,
  { channel, context, presence, retries }: Loop,
): Promise<{ outcome: Outcome; isStuck: boolean }> {
  const { maxAttempts = MAX_ATTEMPTS, patienceMs = Infinity, stallMs = STALL_MS } = actor;
  const { cancellations = NO_CANCELLATIONS, graceMs = 8_000, leaseMs = LEASE_MS, signal } = context;
  const news = new News(actor, claim, presence.instance, retries);
  const limits = {
    signal,
    graceMs,
    leaseMs,
    stallMs,
    endMs: context.endMs ?? 30_000,
  };
  using work = keepLease(claim, limits, () => presence.alive());
  try {
    const message = withPlausibleTime(decode(actor.mailbox, claim.body));
    news.about(message.run_id, message);
    refuseSpent(claim, maxAttempts + 1); // the plan itself may end the process
    const planned = await planOf(actor, message, work, cancellations);
    using _held = planned?.held;
    const runId = planned?.runId ?? message.run_id;
    news.about(runId, message);
    news.after(planned?.after);
    refuseSpent(claim, maxAttempts);
    using _cancellation = runId === undefined
      ? undefined
      : cancellations.onCancelled(runId, work.abort, message.published_at);
    work.signal.throwIfAborted();
    await presence.show("working", runId, message.pipeline);
    const done = await work.until(withContext({ run_id: runId }, () => {
      const span = {
        traceparent: message.traceparent,
        attributes: { ...(runId === undefined ? {} : { "etl.run_id": runId }), "etl.attempt": claim.attempt },
      };
      return inSpan(`${actor.name} ${actor.mailbox}`, span, async () => {
        news.trace(currentTraceparent());
        await channel.publish(...news.started());
        let starting: Promise<void> | undefined;
        const done = await actor.handle(message, {
          attempt: claim.attempt,
          signal: work.signal,
          log: getLogger(["etl", actor.name]),
          progress(progress) {
            work.progressed();
            presence.progress(progress);
            starting ??= channel.publish(...news.progressed()).catch(() => {});
          },
          tell: ({ to, name, fields }) =>
            channel.publish(compose(to, `${name}/${claim.attempt}`, fields, news.parent)),
        }, planned?.plan as P);
        await starting;
        return done;
      });
    }));
    const outputs = done.outputs.map((output) => news.output(output));
    return {
      outcome: { kind: "done", outputs: [...outputs, ...news.ended(done)] },
      isStuck: false,
    };
  } catch (thrown) {
    const error = work.signal.aborted ? work.signal.reason : thrown;
    return {
      outcome: outcomeOf(error, claim, { maxAttempts, patienceMs }, news),
      isStuck: thrown instanceof Stuck,
    };
  }
}

function outcomeOf(
  error: unknown,
  { attempt, publishedAt }: Claim,
  { maxAttempts, patienceMs }: { maxAttempts: number; patienceMs: number },
  news: News,
): Outcome {
  const reason = reasonOf(error);
  if (error instanceof LeaseLost) return { kind: "lost", reason };
  if (error instanceof HandBack) return { kind: "handed back", reason };
  if (error instanceof Busy) return { kind: "busy", reason, afterMs: error.retryAfterMs! };
  if (error instanceof PermanentError) {
    return {
      kind: "never",
      reason,
      outputs: news.failed(reason, { retryable: error.retryable, isCancelled: error instanceof Cancelled }),
    };
  }
  const age = Date.now() - publishedAt;
  const isWorthWaiting = error instanceof NoSpace && age < WAIT_FOR_SPACE_MS;
  const isSpent = attempt >= maxAttempts || (attempt >= MAX_ATTEMPTS && age >= patienceMs);
  if (isSpent && !isWorthWaiting) {
    const spent = `${reason} (failed ${attempt === 1 ? "once" : `${attempt} times`})`;
    return { kind: "never", reason: spent, outputs: news.failed(spent, { retryable: true }) };
  }
  const afterMs = (error instanceof TransientError ? error.retryAfterMs : undefined) ?? backOff(attempt);
  return { kind: "again", reason, afterMs, asIfNew: isWorthWaiting, outputs: news.retrying(reason, afterMs) };
}

/** The engine quotes the text that it can't parse, which may be part of a record. */
function reasonOf(error: unknown): string {
  return error instanceof SyntaxError ? "Cannot parse a text that should be JSON." : messageOf(error);
}

async function planOf<C extends ChannelName, P>(
  actor: Actor<C, P>,
  message: MessageOn<C>,
  work: Work,
  cancellations: Cancellations,
): Promise<Planned<P> | undefined> {
  using _cancellation = message.run_id === undefined
    ? undefined
    : cancellations.onCancelled(message.run_id, work.abort, message.published_at);
  work.signal.throwIfAborted();
  return actor.plan && await work.until(actor.plan(message, work.signal));
}

/** A foreign message may contain any time, but rows and events are ordered by it. */
function withPlausibleTime<M extends { published_at?: string | undefined }>(message: M): M {
  if (message.published_at === undefined) return message;
  return { ...message, published_at: plausibleTime(Date.parse(message.published_at)) };
}

function refuseSpent({ attempt }: Claim, maxAttempts: number): void {
  if (attempt <= maxAttempts) return;
  throw new PermanentError(
    `Cannot handle the message: ${
      attempt - 1
    } tries ended without an answer, so the process may have crashed on it.`,
  );
}

/**
 * Settles the claim, even if the channel refuses its events. A claim that can't be settled expires, and the message is
 * claimed again.
 */
async function settleSurely(claim: Claim, outcome: Outcome, signal: AbortSignal): Promise<Outcome> {
  try {
    await persist(() => settle(claim, outcome), 10, signal);
    return outcome;
  } catch (error) {
    const isRefused = error instanceof PermanentError && outcome.kind !== "done" && "outputs" in outcome;
    if (!isRefused || outcome.outputs.length === 0) return { kind: "lost", reason: messageOf(error) };
    return await settleSurely(claim, { ...outcome, outputs: [] }, signal);
  }
}

async function settle(claim: Claim, outcome: Outcome): Promise<void> {
  switch (outcome.kind) {
    case "done":
      return await claim.complete(...outcome.outputs);
    case "again":
      return await claim.retry(outcome.afterMs, outcome.reason, {
        asIfNew: outcome.asIfNew ?? false,
        outputs: outcome.outputs,
      });
    case "never":
      return await claim.bury(outcome.reason, ...outcome.outputs);
    case "busy":
    case "handed back":
      return await claim.retry("afterMs" in outcome ? outcome.afterMs : 0, outcome.reason, { asIfNew: true });
    case "lost":
      return;
  }
}

function report(log: Logger, claim: Claim, outcome: Outcome): void {
  const facts = { id: claim.id, attempt: claim.attempt, outcome: outcome.kind };
  if (outcome.kind === "done") log.info("message settled", facts);
  else if (outcome.kind === "busy") log.debug("message waits", { ...facts, reason: outcome.reason });
  else if (outcome.kind === "never") log.error("message buried", { ...facts, reason: outcome.reason });
  else log.warning("message not done yet", { ...facts, reason: outcome.reason });
}
