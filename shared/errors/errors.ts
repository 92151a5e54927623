/**
 * The two kinds of failure in the pipeline. The adapters (HTTP, SFTP, Redis, SQLite, files) classify failures, as they
 * know the cause; callers never interpret message texts.
 *
 * @module
 */

/** What both kinds of error may hold besides their message. */
export interface FailureOptions {
  /** The underlying error. */
  cause?: unknown;
  /** Milliseconds to wait before the next try, if the other side named a time (`Retry-After`). */
  retryAfterMs?: number;
}

/** A failure that may pass: a server that is down, a lock that is held, a full disk. It should be retried. */
export class TransientError extends Error {
  /** Its class, for logs. */
  override readonly name: string = "TransientError";
  /** Milliseconds to wait before the next try, if the other side named a time. */
  readonly retryAfterMs: number | undefined;

  /** Makes the error; the message names the action, the quoted value, what was wanted and what to do next. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A disk has too little space. Waiting for space costs no attempt: a person must free some, and that may take days. */
export class NoSpace extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "NoSpace";

  /** Makes the error; the next try is 10 s later. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { retryAfterMs: 10_000, ...options });
  }
}

/**
 * Another run holds a resource that this one needs, and will release it. Waiting for it costs no attempt, and isn't
 * reported.
 */
export class Busy extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "Busy";

  /** Makes the error; the next try is a second later. */
  constructor(message: string, options: FailureOptions = {}) {
    super(message, { retryAfterMs: 1_000, ...options });
  }
}

/**
 * A failure that needs a person: bad input, a refused key, a conflict. A retry can't succeed; the message becomes a
 * dead letter.
 */
export class PermanentError extends Error {
  /** Its class, for logs. */
  override readonly name: string = "PermanentError";
  /** Whether a later request can succeed without a change, for example after a source was unavailable for all tries. */
  readonly retryable: boolean;

  /** Makes the error; the message names the action, the quoted value, what was wanted and what to do next. */
  constructor(message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.retryable = options.retryable ?? false;
  }
}

/** A person ended the run; this isn't a failure to report. */
export class Cancelled extends PermanentError {
  /** Its class, for logs. */
  override readonly name: string = "Cancelled";
}

/**
 * The lease of a claim has expired: another consumer may hold the message. The work must stop, and the claim must not
 * be settled.
 */
export class LeaseLost extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "LeaseLost";
}

/** The configuration can't be used. Holds all problems, not only the first one. */
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

/** The text of any thrown value, for logs and for displayed reasons. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** All reasons of an error: each address of a host name may have failed for a different reason. */
export function reasonsOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : messageOf(error);
}

/** Why a request of `fetch` failed, without its address: path and query may hold a secret. */
export function fetchFailure(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return reasonsOf(cause).replace(/ for (url )?\(?https?:\/\/[^\s)]+\)?/g, "");
}
