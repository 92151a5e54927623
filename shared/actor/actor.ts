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
  /** Published in the transaction that acknowledges the message. */
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
  /**
   * Aborted when the work must stop: the lease is lost, the run is cancelled, or the process is stopping. Its reason is
   * the error to throw.
   */
  readonly signal: AbortSignal;
  /** Adds the run's id to each line. */
  readonly log: Logger;
  /** Reports progress: totals, not differences. Cheap, so it may be called often. */
  progress(progress: Progress): void;
  /** Publishes a message immediately, before the work is done; for events, not for results. */
  tell<C extends ChannelName>(output: OutputOn<C>): Promise<void>;
}

/** How long a handler may report no progress, in milliseconds, unless its actor sets another limit. */
export const STALL_MS = 900_000;

/** What an actor determines about a message before the work begins. */
export interface Planned<P> {
  /** The run that the message is about; its events and logs carry this id. */
  readonly runId: string;
  /** Handed to `handle`. */
  readonly plan: P;
  /** The time of the run's last known event; reports on this message get a later time, whatever the clocks say. */
  readonly after?: string | undefined;
  /** Disposed of once the message is handled, such as the lock that protects the plan. */
  readonly held?: Disposable | undefined;
}

/**
 * A mailbox, and how to handle one of its messages. An actor knows nothing about the inside of channels, retries or
 * acknowledgements.
 */
export interface Actor<C extends ChannelName = ChannelName, P = void> {
  /** Its name in the directory, in events and in logs. */
  readonly name: ActorName;
  /** The mailbox whose messages it handles, one at a time. */
  readonly mailbox: C;
  /** The phase of a run that it carries out; each message is then reported on `channel:run_events`. */
  readonly phase?: Phase;
  /** Milliseconds without a call of `progress` after which the work on a message is aborted and retried. Default 15 minutes. */
  readonly stallMs?: number;
  /** Number of tries before a message becomes a dead letter. Default 8. */
  readonly maxAttempts?: number;
  /** Milliseconds since its publication after which 8 tries are enough, if `maxAttempts` is more. */
  readonly patienceMs?: number;
  /**
   * Determines the run of a message, if that isn't always its own `run_id`. Its errors are treated as those of
   * `handle`.
   */
  plan?(message: MessageOn<C>, signal: AbortSignal): Promise<Planned<P>>;
  /**
   * Does the work. Its effects must be idempotent, as a message can be repeated. Throws `TransientError` to be tried
   * again later and `PermanentError` to make the message a dead letter; any other error counts as transient.
   */
  handle(message: MessageOn<C>, handling: Handling, plan: P): Promise<Done>;
}
