/**
 * The actor port: what a service implements to handle the messages of one mailbox. `run_actor.ts` runs it.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { Progress } from "../channel/channel.ts";
import type { ActorName, ChannelName, MessageOn } from "../contracts/channels.ts";
import type { Detail, Phase } from "../contracts/messages.ts";
import type { Fields } from "./message.ts";

/** A message that follows from the handled one; the runtime adds the envelope. */
export type Output = { [C in ChannelName]: OutputOn<C> }[ChannelName];
/** An output on channel `C`. */
export interface OutputOn<C extends ChannelName> {
  /** The channel to publish it on. */
  readonly to: C;
  /** Unique among the outputs of a message; the output's id derives from the message's id and this name. */
  readonly name: string;
  /** Its content. */
  readonly fields: Fields<C>;
}

/** The outcome of handling a message. */
export interface Done {
  /** Published in the same transaction that acknowledges the message. */
  readonly outputs: readonly Output[];
  /** Numbers and names worth reporting about the phase; no record content. */
  readonly detail: Detail;
  /** Why the run is held; reported instead of the phase's completion. */
  readonly held?: string;
}

/** The context of a handler. */
export interface Handling {
  /** How often this message has been tried, including this time. */
  readonly attempt: number;
  /** Ends the work: the lease is lost, the run cancelled, or the process has to stop now. Its reason is the error to throw. */
  readonly signal: AbortSignal;
  /** Adds the run's id to each line. */
  readonly log: Logger;
  /** Reports progress: totals, not differences. Cheap; call it as often as you like. */
  progress(progress: Progress): void;
  /** Publishes a message now, before the work is done; for news, not for results. */
  tell<C extends ChannelName>(output: OutputOn<C>): Promise<void>;
}

/** How long a handler may report no progress, in milliseconds, unless its actor sets another limit. */
export const STALL_MS = 900_000;

/** What an actor finds out about a message before the work begins. */
export interface Planned<P> {
  /** The run that the message is about; its events and logs carry this id. */
  readonly runId: string;
  /** Handed to `handle`. */
  readonly plan: P;
  /** The time of the last known event of the run; reports on this message get a later one, whatever the clocks say. */
  readonly after?: string | undefined;
  /** Disposed of once the message is handled, such as the lock that protects the plan. */
  readonly held?: Disposable | undefined;
}

/** A mailbox, and how to handle one of its messages. Knows nothing of the inside of channels, retries or acknowledgements. */
export interface Actor<C extends ChannelName = ChannelName, P = void> {
  /** Its name in the directory, in events and in logs. */
  readonly name: ActorName;
  /** The mailbox whose messages it handles, one at a time. */
  readonly mailbox: C;
  /** The phase of a run that it carries out; each message is then reported on `channel:run_events`. */
  readonly phase?: Phase;
  /** Milliseconds that a message stays with a dead process before another takes it. Default: the context's. */
  readonly leaseMs?: number;
  /** Milliseconds without a call of `progress` after which the work on a message is aborted and tried again. Default 15 minutes. */
  readonly stallMs?: number;
  /** Number of tries before a message is dead-lettered. Default 8. */
  readonly maxAttempts?: number;
  /** Milliseconds since its publication after which 8 tries suffice, where `maxAttempts` is more. */
  readonly patienceMs?: number;
  /** Finds out the run of a message, where that isn't always its own `run_id`. Its errors count as those of `handle`. */
  plan?(message: MessageOn<C>, signal: AbortSignal): Promise<Planned<P>>;
  /**
   * Does the work; its effects must be idempotent, as a message can be repeated. Throws `TransientError` for another try later and
   * `PermanentError` to dead-letter the message; anything else counts as transient.
   */
  handle(message: MessageOn<C>, handling: Handling, plan: P): Promise<Done>;
}
