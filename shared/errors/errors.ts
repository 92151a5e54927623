/**
 * The two kinds of failure that the pipeline knows. An adapter (HTTP, SFTP, Redis, SQLite, files) decides which kind a failure is,
 * where the cause is at hand; nothing further up looks at message texts.
 *
 * @module
 */

/** What both kinds of error may carry besides their message. */
export interface FailureOptions {
  /** The error that made this one necessary. */
  cause?: unknown;
  /** Milliseconds to wait before the next try, where the other side said so (`Retry-After`). */
  retryAfterMs?: number;
}

/** A failure that may go away by itself: a server that is down, a lock that is held, a disk that is full. Worth another try. */
export class TransientError extends Error {
  /** Its class, for logs. */
  override readonly name: string = "TransientError";
  /** Milliseconds to wait before the next try, where the other side named a time. */
  readonly retryAfterMs: number | undefined;

  /** Makes the error; the message names the action, the quoted value, what was wanted and what to do next. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A disk has too little space. Waiting for it costs no attempt: a person has to make room, and that may take days. */
export class NoSpace extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "NoSpace";

  /** Makes the error; the next try is 10 s later. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { retryAfterMs: 10_000, ...options });
  }
}

/** Another run has what this one needs, and will give it back. Waiting for it costs no attempt, and is no news. */
export class Busy extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "Busy";

  /** Makes the error; the next try is a second later. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { retryAfterMs: 1_000, ...options });
  }
}

/** A failure that needs a person: bad input, a refused key, a conflict. Trying again is useless; the message is dead-lettered. */
export class PermanentError extends Error {
  /** Its class, for logs. */
  override readonly name: string = "PermanentError";
  /** Whether asking again later can help without changing anything first, as after a source that stayed away for all tries. */
  readonly retryable: boolean;

  /** Makes the error; the message names the action, the quoted value, what was wanted and what to do next. */
  constructor(message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.retryable = options.retryable ?? false;
  }
}

/** Somebody wanted the run to end: no failure that anybody has to be told of. */
export class Cancelled extends PermanentError {
  /** Its class, for logs. */
  override readonly name: string = "Cancelled";
}

/** The lease of a claim is gone: another consumer may hold the message. Work on it has to stop and must not be settled. */
export class LeaseLost extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "LeaseLost";
}

/** The configuration can't be used. Holds every problem, not just the first one. */
export class ConfigError extends PermanentError {
  /** Its class, for logs. */
  override readonly name: string = "ConfigError";

  /** Makes the error from all `problems` found, one line each. */
  constructor(
    subject: string,
    /** One line for each problem. */
    readonly problems: readonly string[],
  ) {
    super(
      `Cannot start ${subject}, the configuration has ${problems.length} problem(s):\n${
        problems.map((p) => `  - ${p}`).join("\n")
      }`,
    );
  }
}

/** The text of anything that was thrown, for logs and for reasons that people read. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** All reasons of an error: each address of a name may have failed for its own. */
export function reasonsOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : messageOf(error);
}

/** What an engine says of a request that failed, without its address: path and query may hold a secret. */
export function withoutAddress(text: string): string {
  return text.replace(/ for (url )?\(?https?:\/\/[^\s)]+\)?/g, "");
}
