/** Classifies failed requests to the store as transient or permanent, by status and error code. */
import { fetchFailure, NoSpace, PermanentError, TransientError } from "../../errors/errors.ts";
import type { S3Place } from "./place.ts";

/** Action and object of a request, for error messages: `read` and `data/raw_users/x.jsonl`. */
export interface Subject {
  readonly action: string;
  readonly path: string;
}

interface Refusal {
  readonly status: number;
  /** The store's error code, such as `SlowDown`; empty if none. */
  readonly code: string;
  /** The store's clock. */
  readonly date: string | null;
  readonly retryAfter: string | null;
}

/** The object doesn't exist. */
export class Absent extends PermanentError {}

/** An object differs from what was written. */
export class Damaged extends PermanentError {}

/** The store doesn't support a header of the request. */
export class NotImplemented extends PermanentError {}

/** The condition of a request doesn't hold: the name is taken. */
export class Taken extends PermanentError {}

/** Permanent errors, and what to do. */
const ACT: Record<string, (place: S3Place, refusal: Refusal) => string> = {
  NoSuchBucket: ({ bucket }) =>
    `there is no bucket "${bucket}". Make it, or correct FILES_URL. To retry what has failed: deno task etl dead replay ID.`,
  InvalidBucketName: ({ bucket }) => `"${bucket}" can't be the name of a bucket. Correct FILES_URL.`,
  InvalidAccessKeyId: () => "it doesn't know the access key. Correct AWS_ACCESS_KEY_ID.",
  ExpiredToken: () =>
    "the temporary credentials have expired. Renew AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and restart the services.",
  InvalidToken: () => "it doesn't know the session token. Correct AWS_SESSION_TOKEN.",
  SignatureDoesNotMatch: () =>
    "it refuses the signature. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and S3_REGION if the store requires it.",
  AuthorizationHeaderMalformed: ({ region }) => `it isn't in the region "${region}". Correct S3_REGION.`,
  RequestTimeTooSkewed: (_, { date }) =>
    `the clocks are too far apart: the store's says ${date}, this machine's ${
      new Date().toUTCString()
    }. Set this machine's clock by a time server, and try again.`,
  AccessDenied: ({ bucket, prefix }) =>
    `access denied. Give the access key the right to read, write, list and remove "${prefix}*" in the bucket "${bucket}".`,
};

/** Error codes of a full store. */
const FULL = new Set(["QuotaExceeded", "StorageFull", "XMinioStorageFull", "InsufficientCapacity"]);

/** Errors that are transient although they have a client error's status: the request's bytes were damaged or truncated in transit. */
const PASSING = new Set([
  "XAmzContentSHA256Mismatch",
  "BadDigest",
  "IncompleteBody",
  "RequestTimeout",
  "OperationAborted",
  "ConditionalRequestConflict",
]);

const PASSING_STATUS = new Set([408, 409, 425, 429]);

/** The error to throw for an error response. */
export function refused({ action, path }: Subject, place: S3Place, refusal: Refusal): Error {
  const { status, code, retryAfter } = refusal;
  const cannot = `Cannot ${action} ${path} in the store ${new URL(place.endpoint).host}`;
  const act = ACT[code];
  if (act !== undefined) return new PermanentError(`${cannot}: ${act(place, refusal)}`);
  if (code === "NotImplemented" || status === 501) {
    return new NotImplemented(`${cannot}: it doesn't do that (${status} ${code}). Use another store.`);
  }
  if (status === 412 || code === "PreconditionFailed") {
    return new Taken(`${cannot}: the name is taken, or the object was replaced.`);
  }
  if (status === 404) {
    return new Absent(`Cannot ${action} ${path}: it isn't there. Put it back, or start a new run.`);
  }
  const answer = `it answers ${status} ${code}`.trimEnd();
  if (status === 507 || FULL.has(code)) {
    return new NoSpace(`${cannot}: it is full (${answer}). Make room; it will be retried.`);
  }
  if (status >= 500 || PASSING_STATUS.has(status) || PASSING.has(code)) {
    const seconds = Number(retryAfter);
    return new TransientError(`${cannot}: ${answer}. It will be retried.`, {
      ...retryAfter !== null && seconds >= 0 ? { retryAfterMs: seconds * 1_000 } : {},
    });
  }
  if (status >= 300 && status < 400) {
    return new PermanentError(
      `${cannot}: the bucket is elsewhere (${answer}). Correct S3_REGION or S3_ENDPOINT.`,
    );
  }
  const which = status === 403 || status === 401
    ? "Check the access key's rights"
    : "Check the S3_ variables";
  return new PermanentError(`${cannot}: ${answer}. ${which}, and try again.`);
}

/** The error to throw without a complete response. */
export function unanswered({ action, path }: Subject, place: S3Place, error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  const { host } = new URL(place.endpoint);
  if (error instanceof Deno.errors.NotCapable) {
    return new PermanentError(
      `Cannot ${action} ${path} in the store ${host}: this process lacks permission. Start it with --allow-net for that host.`,
      { cause: error },
    );
  }
  return new TransientError(
    `Cannot ${action} ${path}: the store ${host} can't be reached, or broke off: ${
      fetchFailure(error)
    }. Is it running? It will be retried.`,
    { cause: error },
  );
}
