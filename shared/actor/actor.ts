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

/** A message that follows from the one that was handled; the runtime adds the envelope. */
export type Output = { [C in ChannelName]: OutputOn<C> }[ChannelName];
/** An output on channel `C`. */
export interface OutputOn<C extends ChannelName> {
  /** The channel to publish it on. */
  readonly to: C;
  /** Tells this output from the others of the same message; its id derives from the message's id and this. */
  readonly name: string;
  /** Its content. */
  readonly fields: Fields<C>;
}

/** The outcome of handling a message. */
export interface Done {
  /** Published in the same transaction that acknowledges the message. */
  readonly outputs: readonly Output[];
  /** Numbers and names worth telling about the phase; no record content. */
  readonly detail: Detail;
  /** Why the run goes no further for now: told in place of the phase's completion. */
  readonly held?: string;
}

/** What a handler is given besides its message. */
export interface Handling {
  /** How often this message has been tried, this time included. */
  readonly attempt: number;
  /** Ends the work: lease lost, run cancelled, or the process has to stop now. Its reason is the error to throw. */
  readonly signal: AbortSignal;
  /** Logs with the run's id on each line. */
  readonly log: Logger;
  /** Reports how far the work on this message is: totals, not differences. Cheap; call it as often as you like. */
  progress(progress: Progress): void;
  /** Publishes a message now, before the work is done; for news, not for results. */
  tell<C extends ChannelName>(output: OutputOn<C>): Promise<void>;
}

/** How long a handler may report no progress, in milliseconds, where its actor doesn't say otherwise. */
export const STALL_MS = 900_000;

/** What a message comes down to, found out before the work begins. */
export interface Planned<P> {
  /** The run that the message is about; its events and logs carry this id. */
  readonly runId: string;
  /** Handed to `handle`. */
  readonly plan: P;
  /** The time of the last thing known of the run; what is reported of this message is later, whatever the clocks say. */
  readonly after?: string | undefined;
  /** Disposed of once the message is handled, such as a lock under which the plan holds. */
  readonly held?: Disposable | undefined;
}

/** A service's heart: a mailbox, and what to do with one message. Knows nothing of channels' insides, retries or acknowledgements. */
export interface Actor<C extends ChannelName = ChannelName, P = void> {
  /** Its name in the directory, in events and in logs. */
  readonly name: ActorName;
  /** The mailbox whose messages it handles, one at a time. */
  readonly mailbox: C;
  /** The phase of a run that it carries out; what happens to each message is then reported on `channel:run_events`. */
  readonly phase?: Phase;
  /** Milliseconds that a message stays with a dead process before another takes it. Default: the context's. */
  readonly leaseMs?: number;
  /** Milliseconds without a call of `progress` after which the work on a message is aborted and tried again. Default 15 minutes. */
  readonly stallMs?: number;
  /** How often a message is tried before it is dead-lettered. Default 8. */
  readonly maxAttempts?: number;
  /** Milliseconds since its publication after which 8 tries suffice, where `maxAttempts` is more. */
  readonly patienceMs?: number;
  /** Finds out which run a message is about, where that isn't always its own `run_id`. What it throws counts as thrown by `handle`. */
  plan?(message: MessageOn<C>, signal: AbortSignal): Promise<Planned<P>>;
  /**
   * Does the work; its effects must be idempotent, as a message can come again. Throws `TransientError` for another try later and
   * `PermanentError` to dead-letter the message; anything else counts as transient.
   */
  handle(message: MessageOn<C>, handling: Handling, plan: P): Promise<Done>;
}
