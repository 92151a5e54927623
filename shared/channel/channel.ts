/**
 * The Channel port: named, durable mailboxes between actors. Adapters: `embedded.ts` (SQLite file), `redis.ts` (Streams).
 *
 * @module
 */

/** A message to append to a mailbox. */
export interface Outgoing {
  /** The mailbox's name, such as `channel:phase1_complete`. */
  readonly to: string;
  /** Unique in that mailbox. The mailbox deduplicates by id: it remembers ids for seven days after their message was settled. */
  readonly id: string;
  /** The text; by convention JSON with the same `id`. */
  readonly body: string;
}

/**
 * A message held by one consumer until it is settled by `complete`, `retry` or `bury`, or until its lease expires.
 *
 * Each of the three publishes `outputs` and settles the claim in one transaction. They, and `extend`, throw `LeaseLost` if the message was handed to
 * another consumer meanwhile (then nothing is published), and `TransientError` if the transport can't be reached.
 */
export interface Claim {
  /** The message's id; derived from the body for a foreign message without one. */
  readonly id: string;
  /** The published text; invalid UTF-8 reads as U+FFFD. */
  readonly body: string;
  /** The number of this attempt, from 1. It is counted at the claim, so that a message that kills its consumer runs out of attempts, too. */
  readonly attempt: number;
  /** When the message was published, in milliseconds since 1970. */
  readonly publishedAt: number;
  /** Renews the lease for its full length. */
  extend(): Promise<void>;
  /** Acknowledges the message. */
  complete(...outputs: Outgoing[]): Promise<void>;
  /**
   * Returns the message to the mailbox; it can be claimed again after `afterMs`. With `asIfNew` the attempt doesn't count (for a consumer that shuts
   * down).
   */
  retry(
    afterMs: number,
    reason: string,
    options?: { asIfNew?: boolean; outputs?: readonly Outgoing[] },
  ): Promise<void>;
  /** Moves the message to the mailbox's dead letters, with its bytes, the reason and the number of attempts. */
  bury(reason: string, ...outputs: Outgoing[]): Promise<void>;
}

/** A message that was buried. */
export interface DeadLetter {
  /** The mailbox that it came from. */
  readonly mailbox: string;
  /** The message's id. */
  readonly id: string;
  /** The published text. */
  readonly body: string;
  /** Why it was buried. */
  readonly reason: string;
  /** The number of its attempts. */
  readonly attempts: number;
  /** When it was buried, in milliseconds since 1970. */
  readonly buriedAt: number;
}

/** A snapshot of a mailbox's figures. */
export interface MailboxState {
  /** The number of messages that wait, are delayed, or are held by a consumer. */
  readonly depth: number;
  /** Milliseconds since the oldest of them was published; `undefined` if there is none. */
  readonly oldestAgeMs: number | undefined;
  /** Whether the mailbox is paused. */
  readonly paused: boolean;
  /** The number of dead letters. */
  readonly dead: number;
}

/** One mailbox, for inspection and repair. All methods throw `TransientError` if the transport can't be reached. */
export interface Mailbox {
  /** The mailbox's figures. */
  state(): Promise<MailboxState>;
  /** Pauses the mailbox for all processes until `resume`, across restarts: it hands out no messages. Messages can still be published. */
  pause(): Promise<void>;
  /** Resumes the mailbox and wakes waiting consumers. */
  resume(): Promise<void>;
  /** Dead letters, newest first, at most `limit` of those buried before the letter with id `after`. */
  dead(options: { limit: number; after?: string }): Promise<DeadLetter[]>;
  /** Moves a dead letter back to the mailbox and resets its attempts; false if no dead letter has this id. */
  replay(id: string): Promise<boolean>;
  /** Removes a dead letter permanently; false if no dead letter has this id. */
  discard(id: string): Promise<boolean>;
}

/** The progress of a piece of work. */
export interface Progress {
  /** Done so far. */
  readonly done: number;
  /** The total, if known. */
  readonly total?: number | undefined;
  /** The unit that is counted. */
  readonly unit: "records" | "bytes";
}

/** The last state that an instance of an actor reported. */
export interface Beat {
  /** The actor's name. */
  readonly actor: string;
  /** Unique among the actor's instances, such as `host:pid:random`. */
  readonly instance: string;
  /** The machine's name. */
  readonly host: string;
  /** The process's id on that machine. */
  readonly pid: number;
  /** The mailbox that it consumes. */
  readonly mailbox: string;
  /** `idle`: waits for a message; `working`; `paused`; `stopping`; `stopped`: ended orderly. */
  readonly state: "idle" | "working" | "paused" | "stopping" | "stopped";
  /** The run that it works on, and its progress in this phase. */
  readonly current?: Progress & { readonly runId: string; readonly pipeline?: string };
  /** Messages completed since the instance started. */
  readonly handled: number;
  /** Messages buried since the instance started. */
  readonly failed: number;
  /** When it started, in milliseconds since 1970. */
  readonly startedAt: number;
  /** When it reported this, in milliseconds since 1970. */
  readonly at: number;
}

/**
 * An instance without a beat for this long counts as stopped, in milliseconds. Beats are sent every five seconds while it waits, every ten while it
 * works.
 */
export const ALIVE_MS = 30_000;

/** Whether the instance is running at `now`, according to its last beat. */
export function isAlive({ state, at }: Beat, now: number = Date.now()): boolean {
  return state !== "stopped" && now - at <= ALIVE_MS;
}

/**
 * Named, durable mailboxes.
 *
 * Delivery is at-least-once. A message accepted by `publish` is kept until it is completed, or buried and then discarded. Pipelines take turns: of
 * the first 100 waiting messages, the next is the first of the pipeline (`"pipeline":"NAME"` in the body) whose turn was longest ago. A single
 * consumer receives the messages of one pipeline in publishing order, except retried ones. Several consumers have no order, but never hold the same
 * message at the same time. A claim that isn't settled or extended within its lease is handed out again, with `attempt` + 1. `watch` has no
 * guarantees.
 *
 * While the transport can't be reached, calls fail with `TransientError` within a time limit; adapters reconnect automatically.
 */
export interface Channel extends AsyncDisposable {
  /** Appends the messages atomically. Messages with known ids are skipped. */
  publish(...messages: Outgoing[]): Promise<void>;
  /**
   * Publishes only if no message of `mailbox` whose body contains `text` waits, is delayed or is held; the empty text stands for any message. The
   * check and the publication are atomic, so of several concurrent callers one succeeds. Returns whether the messages are in their mailboxes; a
   * repeated call with known ids succeeds again.
   */
  publishIfIdle(mailbox: string, text: string, ...messages: Outgoing[]): Promise<boolean>;
  /** Waits for a message; `undefined` if `signal` ended the wait. An abort never loses a claimed message. */
  claim(mailbox: string, options: { leaseMs: number; signal: AbortSignal }): Promise<Claim | undefined>;
  /**
   * Resolves once everything published on `mailbox` from now on is kept, foreign messages included; or when `signal` aborts. Waits while the
   * transport can't be reached. @throws PermanentError if the transport refuses.
   */
  listening(mailbox: string, signal: AbortSignal): Promise<void>;
  /** The bodies appended after the returned promise has resolved. Ends with `signal`. A live view, which may skip messages. */
  watch(mailbox: string, signal: AbortSignal): Promise<AsyncIterable<string>>;
  /** The mailbox of this name, for inspection and repair. */
  mailbox(name: string): Mailbox;
  /** Writes `beat` to the directory, replacing the same instance's last one. It expires after an hour. */
  beat(beat: Beat): Promise<void>;
  /** The last beat of each instance, ordered by actor and instance. */
  beats(): Promise<Beat[]>;
  /**
   * Resolves if the transport can be written to, with a warning if its settings or its clock endanger messages. @throws TransientError with the
   * reason otherwise.
   */
  ping(): Promise<string | undefined>;
}

/** How long a mailbox remembers the ids of messages that were settled, in milliseconds: seven days. */
export const REMEMBER_MS: number = 7 * 24 * 3600 * 1000;

/** How long the directory keeps an instance's last beat, in milliseconds: one hour. */
export const BEAT_TTL_MS: number = 3600 * 1000;
