/**
 * The Channel port: named, durable mailboxes between actors. Adapters: `embedded.ts` (SQLite file), `redis.ts` (Streams).
 *
 * @module
 */

/** A message to append to a mailbox. */
export interface Outgoing {
  /** The mailbox's name, such as `channel:phase1_complete`. */
  readonly to: string;
  /** Unique in that mailbox. A message whose id the mailbox has known within the last seven days is not appended again. */
  readonly id: string;
  /** The text; by custom JSON that carries the same `id`. */
  readonly body: string;
}

/**
 * A message that is held by one consumer until it is settled by `complete`, `retry` or `bury`, or until its lease runs out.
 *
 * Each of the three publishes `outputs` and settles the claim in one transaction: either both are there afterwards, or neither. All of
 * them, and `extend`, throw `LeaseLost` when the message was handed to another consumer meanwhile (nothing is published then), and
 * `TransientError` when the transport is away.
 */
export interface Claim {
  /** The message's id; derived from the body for a message that some other program published without one. */
  readonly id: string;
  /** The text as it was published; bytes that are no UTF-8 arrive as U+FFFD. */
  readonly body: string;
  /** How often the message has been handed out, this time included; counted at the claim, so that a message that kills its consumer runs out too. */
  readonly attempt: number;
  /** When the message was published, in milliseconds since 1970. */
  readonly publishedAt: number;
  /** Renews the lease for its full length. */
  extend(): Promise<void>;
  /** The message is done. */
  complete(...outputs: Outgoing[]): Promise<void>;
  /** Hands the message back; it can be claimed again after `afterMs`. `asIfNew` gives the attempt back too (for a consumer that shuts down). */
  retry(
    afterMs: number,
    reason: string,
    options?: { asIfNew?: boolean; outputs?: readonly Outgoing[] },
  ): Promise<void>;
  /** Puts the message into the mailbox's dead letters, with its bytes, the reason and the number of attempts. */
  bury(reason: string, ...outputs: Outgoing[]): Promise<void>;
}

/** A message that was buried. */
export interface DeadLetter {
  /** The mailbox that it came from. */
  readonly mailbox: string;
  /** The message's id. */
  readonly id: string;
  /** The text as it was published. */
  readonly body: string;
  /** Why it was buried. */
  readonly reason: string;
  /** How often it had been handed out. */
  readonly attempts: number;
  /** When it was buried, in milliseconds since 1970. */
  readonly buriedAt: number;
}

/** The numbers of a mailbox at one moment. */
export interface MailboxState {
  /** Messages that wait, are delayed, or are held by a consumer. */
  readonly depth: number;
  /** Milliseconds since the oldest of them was published; `undefined` when there is none. */
  readonly oldestAgeMs: number | undefined;
  /** Whether claims are held back. */
  readonly paused: boolean;
  /** How many dead letters there are. */
  readonly dead: number;
}

/** One mailbox, for state and repair. All methods throw `TransientError` when the transport is away. */
export interface Mailbox {
  /** Its numbers. */
  state(): Promise<MailboxState>;
  /** Holds back all further claims, in every process, until `resume`; also over restarts. Messages can still be published. */
  pause(): Promise<void>;
  /** Lets claims through again and wakes those who wait. */
  resume(): Promise<void>;
  /** Dead letters, newest first, at most `limit` of those buried before the letter with id `after`. */
  dead(options: { limit: number; after?: string }): Promise<DeadLetter[]>;
  /** Moves a dead letter back to the mailbox with its attempts forgotten; false when there is none with this id. */
  replay(id: string): Promise<boolean>;
  /** Removes a dead letter permanently; false when there is none with this id. */
  discard(id: string): Promise<boolean>;
}

/** How far a piece of work is. */
export interface Progress {
  /** Done so far. */
  readonly done: number;
  /** Of how many in all, where that is known. */
  readonly total?: number | undefined;
  /** What is counted. */
  readonly unit: "records" | "bytes";
}

/** What an instance of an actor last said of itself. */
export interface Beat {
  /** The actor's name. */
  readonly actor: string;
  /** Unique among the actor's instances, such as `host:pid:random`. */
  readonly instance: string;
  /** The machine's name. */
  readonly host: string;
  /** The process's id on that machine. */
  readonly pid: number;
  /** The mailbox it takes its messages from. */
  readonly mailbox: string;
  /** `idle`: waits for a message; `working`; `paused`; `stopping`; `stopped`: ended in order. */
  readonly state: "idle" | "working" | "paused" | "stopping" | "stopped";
  /** The run it works on, and how far it is in this phase. */
  readonly current?: Progress & { readonly runId: string; readonly pipeline?: string };
  /** Messages completed since the instance started. */
  readonly handled: number;
  /** Messages buried since the instance started. */
  readonly failed: number;
  /** When it started, in milliseconds since 1970. */
  readonly startedAt: number;
  /** When it said so, in milliseconds since 1970. */
  readonly at: number;
}

/**
 * An instance that was last heard of this long ago has stopped, in milliseconds: beats come every five seconds while it waits, every ten while it
 * works.
 */
export const ALIVE_MS = 30_000;

/** Whether the instance runs at `now`, by its last beat. */
export function isAlive({ state, at }: Beat, now: number = Date.now()): boolean {
  return state !== "stopped" && now - at <= ALIVE_MS;
}

/**
 * Named, durable mailboxes.
 *
 * Promise: at least once. A message that `publish` has accepted is kept until it is completed, buried or (buried) discarded. Pipelines take
 * turns: of the first 100 messages that wait, the next is the first of the pipeline (`"pipeline":"NAME"` in the body) whose turn was longest
 * ago. For a single consumer messages of one pipeline come in publishing order, except those that were handed back; between several
 * consumers there is no order, but no two hold the same message at once. A claim that isn't settled or extended within its lease is handed out again, with `attempt` + 1.
 * Nothing is promised to `watch`.
 *
 * A transport that goes away makes calls fail with `TransientError` within a bounded time; adapters reconnect by themselves.
 */
export interface Channel extends AsyncDisposable {
  /** Appends all messages, or none. Messages whose id the mailbox knows already are passed over. */
  publish(...messages: Outgoing[]): Promise<void>;
  /**
   * Publishes only if no message of `mailbox` whose body contains `text` waits, is delayed or is held (the empty text: no message at all): the
   * check and the publication are one step, so of several callers at once one succeeds. Answers whether the messages are there; a repeated call
   * with ids that are known succeeds again.
   */
  publishIfIdle(mailbox: string, text: string, ...messages: Outgoing[]): Promise<boolean>;
  /** Waits for a message; `undefined` when `signal` ended the wait. A message that was taken is never lost to an abort. */
  claim(mailbox: string, options: { leaseMs: number; signal: AbortSignal }): Promise<Claim | undefined>;
  /**
   * Resolves once whatever is published on `mailbox` from now on is kept, also by programs that know nothing of this port; or when `signal`
   * aborts. Waits for a transport that is away. @throws PermanentError when it refuses.
   */
  listening(mailbox: string, signal: AbortSignal): Promise<void>;
  /** The bodies that are appended from now on (from when the returned promise resolves). Ends with `signal`. A live view, may skip. */
  watch(mailbox: string, signal: AbortSignal): Promise<AsyncIterable<string>>;
  /** The mailbox of this name, for state and repair. */
  mailbox(name: string): Mailbox;
  /** Enters `beat` in the directory, in place of the same instance's last one; it is forgotten an hour after. */
  beat(beat: Beat): Promise<void>;
  /** The last beat of each instance, ordered by actor and instance. */
  beats(): Promise<Beat[]>;
  /** Resolves when the transport can be written to, with a warning if its settings or its clock endanger messages. @throws TransientError saying why it can't. */
  ping(): Promise<string | undefined>;
}

/** How long a mailbox remembers the ids of messages that were settled, in milliseconds: seven days. */
export const REMEMBER_MS: number = 7 * 24 * 3600 * 1000;

/** How long the directory keeps an instance's last beat, in milliseconds: one hour. */
export const BEAT_TTL_MS: number = 3600 * 1000;
