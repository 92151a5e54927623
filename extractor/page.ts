/** One page of the source: requested, read completely within limits, checked, and requested again after a failure. */
import { isUtf8 } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import { fetchFailure, PermanentError, TransientError } from "../shared/errors/errors.ts";
import { withoutMark } from "../shared/files/lines.ts";
import { type Envelope, readEnvelope } from "./envelope.ts";
import {
  type Announced,
  type Answered,
  BEYOND,
  Contradiction,
  isBeginning,
  isLast,
  isPageStatus,
  kind,
  NoPage,
  type Position,
  type Way,
  WrongTotal,
} from "./paging/style.ts";
import type { RecordId } from "./ids.ts";
import type { Records } from "./records.ts";
import type { Source } from "./source.ts";

export interface Page {
  readonly position: Position;
  /** Its name in messages. */
  readonly label: string;
  /** What the page announces about the next one. */
  readonly way: Way;
  /** Undefined if the status stands for an empty list. */
  readonly records: Records | undefined;
}

/** The source answered with a status that is neither a page nor an empty list. */
export class Refused extends TransientError {
  override readonly name: string = "Refused";

  constructor(readonly status: number, retryAfterMs: number | undefined) {
    super(`HTTP ${status}`, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
}

interface PageToFetch {
  readonly position: Position;
  readonly label: string;
  readonly seen: () => Announced;
  /** Checks a page. @throws TransientError if the page can't be used and must be requested again. */
  readonly check?: (page: Page) => void;
  /** Whether an earlier page had the record. */
  readonly isKnown?: ((id: RecordId) => boolean) | undefined;
}

const log = getLogger(["etl", "extractor", "pages"]);

/** Space for the bytes of a page, reused for later ones. */
export class PageBuffer {
  /** At least 64 KiB, so that most pages need no copy. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(64 * 1024);

  /**
   * Ensures space for `length` bytes, keeping the first `filled`. It doubles the space up to `most`, in case more bytes
   * follow.
   */
  fit(length: number, filled: number, most: number): void {
    if (length <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(length, Math.min(2 * this.bytes.length, most)));
    larger.set(this.bytes.subarray(0, filled));
    this.bytes = larger;
  }
}

const NOTHING: Envelope = { list: undefined, found: "nothing", value: () => undefined };

/** The longest `Retry-After` that is accepted, in milliseconds: one hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Fetches a page. Repeats the request after each delay of `source` until the answer is a page. Failures are:
 * - no connection, an incomplete answer, or a timeout
 * - a status other than 200, 206 where there are pages, and those that mean an empty list
 * - invalid JSON, and JSON that isn't a page or contradicts itself
 *
 * @param buffer holds the page's bytes; the page is valid until the buffer is used again
 * @throws PermanentError when all tries have failed, or the page is larger than `source.maxBytes`. Never quotes the
 * page.
 * @throws the signal's reason when `signal` was aborted.
 */
export async function fetchPage(
  source: Source,
  page: PageToFetch,
  signal: AbortSignal,
  buffer: PageBuffer = new PageBuffer(),
): Promise<Page> {
  const reasons: string[] = [];
  while (true) {
    try {
      const fetched = await fetchOnce(source, page, signal, buffer);
      page.check?.(fetched);
      return fetched;
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) throw error;
      reasons.push(error.message);
      const isLastTry = reasons.length > source.maxRetries;
      if (isLastTry && page.position.beyond === BEYOND && isAnswer(error)) {
        log.warning("the source's total could not be confirmed by a page beyond it", {
          page: page.label,
          reason: error.message,
        });
        return nothingAt(source, page);
      }
      if (isLastTry) {
        throw new PermanentError(
          `Cannot fetch page ${page.label} of ${source.name}: ${counted(reasons)}. ` +
            `The run's state is kept at ${page.label}; ${remedyFor(error)}, start a run: it resumes there.`,
          { cause: error, retryable: true },
        );
      }
      const afterMs = error.retryAfterMs ?? delay(source.retryDelaysMs, reasons.length);
      log.warning("page failed, retrying", {
        page: page.label,
        reason: error.message,
        failures: reasons.length,
        after_ms: afterMs,
      });
      await source.sleep(afterMs, signal);
      signal.throwIfAborted();
    }
  }
}

const remedyFor = (error: TransientError) =>
  error instanceof Refused &&
    (error.status === 401 || (error.status === 403 && error.retryAfterMs === undefined))
    ? "once its definition has credentials that the source accepts"
    : "when the source works again";

/** The records of a page as texts. Call it only once. */
export function linesOf({ records }: Page): string[] {
  const text = new TextDecoder().decode(records?.intoLines(() => true));
  return text.split("\n").filter((line) => line !== "");
}

/** Statuses of a source, or of a proxy before it, that can't answer anybody now, or not us. */
const UNAVAILABLE = [401, 403, 407, 408, 425, 429, 502, 503, 504];

/** Whether the source itself answered, though not with a page. */
function isAnswer(error: TransientError): boolean {
  if (error instanceof Refused) return !UNAVAILABLE.includes(error.status);
  return (error.cause instanceof Contradiction && !(error.cause instanceof WrongTotal)) ||
    error.cause instanceof SyntaxError;
}

/** The page as if its status said that there is nothing. */
function nothingAt(source: Source, { position, label, seen }: PageToFetch): Page {
  const about = {
    status: 204,
    headers: new Headers(),
    address: new URL("http://source"),
    isKnown: () => false,
  };
  return understood(source, { ...about, position, label, seen: seen() }, NOTHING);
}

async function fetchOnce(
  source: Source,
  { position, label, seen, isKnown = () => false }: PageToFetch,
  signal: AbortSignal,
  buffer: PageBuffer,
): Promise<Page> {
  await source.access.turn(signal);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), source.timeoutMs);
  try {
    const { response, address } = await source.access.ask(
      source.style.request(position),
      AbortSignal.any([signal, late.signal]),
    );
    const { status, headers } = response;
    const about = { status, headers, address, position, label, seen: seen(), isKnown };
    if (isEmptyStatus(source, status, position)) {
      await response.body?.cancel();
      return understood(source, about, NOTHING);
    }
    const isPart = status === 206 && source.style.by === "none";
    if (!isPageStatus(status) || isPart) {
      await response.body?.cancel();
      throw new Refused(status, retryAfterMs(headers));
    }
    const bytes = await readBounded(response, source, label, buffer);
    const shown = `${
      JSON.stringify(headers.get("content-type")?.slice(0, 100) ?? "no content type")
    }, ${bytes.length} bytes`;
    return understood(source, about, envelopeOf(bytes, source, status, shown), shown);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (late.signal.aborted) {
      throw new TransientError(`no complete answer within ${source.timeoutMs / 1_000} s`);
    }
    throw classified(error);
  } finally {
    clearTimeout(timer);
  }
}

/** The statuses by which a source may answer beyond its end. */
const NOTHING_THERE = [204, 400, 404, 410, 416, 422];

/** A 4xx instead of a page that a cursor or link names is no empty list: the cursor or link has expired. */
function isEmptyStatus({ empty, style }: Source, status: number, position: Position): boolean {
  if (position.beyond === BEYOND && NOTHING_THERE.includes(status)) return true;
  const isNamed = ["cursor", "link", "link-header"].includes(style.by);
  const mayBeExpired = status >= 400 && isNamed && !isBeginning(style, position);
  return empty.includes(status) && !mayBeExpired;
}

/** Reads a body into `buffer`. Counts decompressed bytes, so that a small compressed answer can't fill the memory. */
async function readBounded(
  response: Response,
  source: Source,
  label: string,
  buffer: PageBuffer,
): Promise<Uint8Array> {
  // chunks are copied, not kept: a decompressed chunk of 4 KiB can retain 64 KiB
  let length = 0;
  for await (const piece of response.body ?? []) {
    const filled = length;
    length += piece.length;
    if (length > source.maxBytes) {
      throw new PermanentError(
        `Cannot fetch page ${label} of ${source.name}: it has more than ${source.maxBytes} bytes. ` +
          `${source.smallerPages} or a larger MAX_RESPONSE_BYTES, and start a run: it resumes there.`,
      );
    }
    buffer.fit(length, filled, source.maxBytes);
    buffer.bytes.set(piece, filled);
  }
  return buffer.bytes.subarray(0, length);
}

function envelopeOf(bytes: Uint8Array, source: Source, status: number, shown: string): Envelope {
  if (!isUtf8(bytes)) throw new TransientError(`HTTP ${status} with text that is not UTF-8 (${shown})`);
  try {
    return readEnvelope(withoutMark(bytes), source);
  } catch (cause) {
    throw new TransientError(`HTTP ${status} with incomplete or invalid JSON (${shown})`, { cause });
  }
}

/** @throws Contradiction if the value isn't a page. */
function understood(
  source: Source,
  about: {
    status: number;
    headers: Headers;
    address: URL;
    position: Position;
    label: string;
    seen: Announced;
    isKnown: (id: RecordId) => boolean;
  },
  { list, found, value }: Envelope,
  shown = "no body",
): Page {
  const { status, headers, address, position, label } = about;
  const { pipeline: noun, style, error } = source;
  const blank = isEmptyStatus(source, status, position);
  try {
    const failure = error === undefined ? undefined : value(error);
    if (isFailure(failure)) {
      throw new Contradiction(`an error in its body (${error} holds ${kind(failure)})`);
    }
    let repeated: number | undefined;
    const answered: Answered = {
      length: list?.length ?? 0,
      get repeated() {
        return repeated ??= repeatedIn(list?.ids ?? [], about.isKnown);
      },
      noun,
      blank,
      address,
      value: (place) => typeof place === "string" ? value(place) : headers.get(place.header) ?? undefined,
      last: (path) => list?.last(path),
    };
    const place = source.records ?? "answer";
    const isMissing = !blank && list === undefined;
    let way: Way;
    try {
      way = style.after(position, answered, about.seen);
    } catch (error) {
      if (!(error instanceof Contradiction) || !isMissing) throw error;
      const more = error instanceof NoPage ? `; ${error.problem}` : "";
      throw new NoPage(noun, `${place}: wanted a list, found ${found}${more}`);
    }
    // some sources leave out an object without members, such as HAL's _embedded, but say that there is nothing
    const isSaidEmpty = source.records?.includes(".") === true && way.next === undefined &&
      (way.total === 0 || way.pages === 0);
    if (
      (isMissing && !isSaidEmpty) ||
      (list === null && !(isLast(way) && way.isStatedEnd))
    ) {
      throw new NoPage(noun, `${place}: wanted a list, found ${found}`);
    }
    const next = way.next?.link === undefined
      ? way.next
      : { ...way.next, link: source.access.link(`${way.next.link}`) };
    return { position, label, way: { ...way, next }, records: list ?? undefined };
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error;
    throw new TransientError(`HTTP ${status} with ${error.message}${blank ? "" : ` (${shown})`}`, {
      cause: error,
    });
  }
}

/** How many of the ids are known, or were there before. */
function repeatedIn(ids: readonly (RecordId | undefined)[], isKnown: (id: RecordId) => boolean): number {
  const here = new Set<RecordId>();
  const hasIds = ids.some((id) => id !== undefined);
  return ids.filter((id) => {
    if (id === undefined) return hasIds; // a record without id among known ones says nothing
    const isRepeated = here.has(id) || isKnown(id);
    here.add(id);
    return isRepeated;
  }).length;
}

/** Some sources always include a member for errors, and leave it empty if there are none. */
function isFailure(value: unknown): boolean {
  const isEmpty = value === undefined || value === null || value === false || value === "" ||
    (Array.isArray(value) && value.length === 0);
  return !isEmpty;
}

/**
 * Converts an error of `fetch` to a typed error. Removes the address from its text, as the address may hold secrets.
 */
function classified(error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) {
    return new PermanentError(
      `Cannot reach the source: ${error.message}. Name its host in the service's --allow-net, and start a run.`,
    );
  }
  return new TransientError(`no answer: ${fetchFailure(error)}`);
}

/**
 * The delay after failure number `failures`, plus up to a fifth, so that many clients don't retry at the same moment.
 */
function delay(delaysMs: readonly number[], failures: number): number {
  const base = delaysMs[Math.min(failures, delaysMs.length) - 1] ?? 0;
  return Math.round(base * (1 + Math.random() / 5));
}

/**
 * The delay that `Retry-After` or a used up rate limit requests, in milliseconds, at most an hour; undefined if there is
 * no such header, or it can't be parsed.
 */
export function retryAfterMs(headers: Headers, now: number = Date.now()): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  // a date has letters: Date.parse would also read "1.5", as a day of 2001
  const isDate = /[a-z]/i.test(value);
  const ms = isDate ? Date.parse(value) - now : value === "" ? resetMs(headers, now) : Number(value) * 1_000;
  return Number.isNaN(ms) || (!isDate && ms < 0) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/**
 * The delay until a used up limit is reset, as `X-RateLimit-Reset` of GitHub and others says: in seconds, or as a time
 * in seconds or milliseconds since 1970. NaN if the limit isn't used up.
 */
function resetMs(headers: Headers, now: number): number {
  if (headers.get("x-ratelimit-remaining")?.trim() !== "0") return NaN;
  const reset = Number(headers.get("x-ratelimit-reset") || NaN);
  const ms = reset < 1e9 ? reset * 1_000 : (reset < 1e11 ? reset * 1_000 : reset) - now;
  return ms > 0 ? ms : NaN; // a clock is wrong
}

/** `HTTP 500 (3 times), HTTP 503 (once)`, in order of appearance. */
function counted(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, n]) => `${reason} (${n === 1 ? "once" : `${n} times`})`).join(", ");
}
