/**
 * One page of the source: asked for, read whole within bounds, checked, and tried again when it fails.
 *
 * @module
 */
import { isUtf8 } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { messageOf, PermanentError, TransientError } from "../shared/errors/errors.ts";
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { withoutMark } from "../shared/files/lines.ts";
import { Records } from "./records.ts";
import { pageUrl, redacted, type Source } from "./source.ts";

export interface Page {
  /** Position of its first record, as it was asked for. */
  readonly skip: number;
  /** How many records the source has, as of this page. */
  readonly total: number;
  readonly records: Records;
}

/** Of a page, what has to be right; the records themselves are judged by the next phase. */
const Envelope = z.object({
  users: z.array(z.unknown()),
  total: z.int().nonnegative(),
  skip: z.int().nonnegative().optional(),
});
const ENVELOPE = Object.keys(Envelope.shape);

const log = getLogger(["etl", "extractor", "pages"]);

/** Redirects that are followed for one page. */
const MAX_REDIRECTS = 5;

/** Space for the bytes of a page, reused for a later page. */
export class PageBuffer {
  /** At least 64 KiB, so that most pages are read without a copy. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(64 * 1024);

  /** Makes room for `length` bytes, keeping the first `filled`; twice of what was there, if `most` allows it, as more may come. */
  fit(length: number, filled: number, most: number): void {
    if (length <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(length, Math.min(2 * this.bytes.length, most)));
    larger.set(this.bytes.subarray(0, filled));
    this.bytes = larger;
  }
}

/** The longest wait that a `Retry-After` can ask for, in milliseconds: one hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Fetches the page that begins at record `skip` (from 0), trying again after each delay of `source` while the answer isn't one: status other
 * than 200, no connection, no whole answer in time, no JSON, or JSON that is no page.
 *
 * @param buffer where the page's bytes are kept; the page is good until the buffer is used again
 * @throws PermanentError when all tries are spent, or the page is larger than `source.maxBytes`. Never quotes what the page holds.
 * @throws the signal's reason when `signal` ended it.
 */
export async function fetchPage(
  source: Source,
  skip: number,
  signal: AbortSignal,
  buffer: PageBuffer = new PageBuffer(),
): Promise<Page> {
  const reasons: string[] = [];
  while (true) {
    try {
      return await fetchOnce(source, skip, signal, buffer);
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) throw error;
      reasons.push(error.message);
      if (reasons.length > source.maxRetries) {
        throw new PermanentError(
          `Cannot fetch page skip=${skip} of ${source.name}: ${counted(reasons)}. ` +
            `The run's state is kept at skip=${skip}; when the source is well again, start a run: it goes on there.`,
          { cause: error, retryable: true },
        );
      }
      const afterMs = error.retryAfterMs ?? delay(source.retryDelaysMs, reasons.length);
      log.warning("page failed, trying again", {
        skip,
        reason: error.message,
        failures: reasons.length,
        after_ms: afterMs,
      });
      await source.sleep(afterMs, signal);
      signal.throwIfAborted();
    }
  }
}

async function fetchOnce(
  source: Source,
  skip: number,
  signal: AbortSignal,
  buffer: PageBuffer,
): Promise<Page> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), source.timeoutMs);
  try {
    const response = await follow(pageUrl(source, skip), AbortSignal.any([signal, late.signal]));
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new TransientError(`HTTP ${response.status}`, { retryAfterMs: retryAfterMs(response.headers) });
    }
    const bytes = await readBounded(response, source, skip, buffer);
    const shown = `${
      JSON.stringify(response.headers.get("content-type")?.slice(0, 100) ?? "no content type")
    }, ${bytes.length} bytes`;
    return readPage(bytes, skip, shown);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (late.signal.aborted) throw new TransientError(`no whole answer within ${source.timeoutMs / 1_000} s`);
    throw classified(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Follows redirects, few of them, never in a circle, and never from an encrypted connection to one that isn't. */
async function follow(first: URL, signal: AbortSignal): Promise<Response> {
  const visited = new Set<string>();
  for (let url = first;;) {
    visited.add(url.href);
    const response = await fetch(url, {
      redirect: "manual",
      headers: { accept: "application/json" },
      signal,
    });
    const location = response.headers.get("location");
    if (response.status < 301 || response.status > 308 || location === null) return response;
    await response.body?.cancel();
    const next = URL.parse(location, url);
    if (next === null || !/^https?:$/.test(next.protocol)) {
      throw new TransientError(`HTTP ${response.status} redirects to what is no HTTP address`);
    }
    if (visited.has(next.href)) throw new TransientError(`it redirects in a circle, to ${redacted(next)}`);
    if (visited.size > MAX_REDIRECTS) throw new TransientError(`more than ${MAX_REDIRECTS} redirects`);
    if (url.protocol === "https:" && next.protocol === "http:") {
      throw new TransientError(
        `it redirects from https to ${redacted(next)}, where records can be read on the way`,
      );
    }
    url = next;
  }
}

/** Reads a body into `buffer`, counting what comes out of decompression, so that a small answer can't fill the memory. */
async function readBounded(
  response: Response,
  source: Source,
  skip: number,
  buffer: PageBuffer,
): Promise<Uint8Array> {
  // Pieces are copied, not kept: one of 4 KiB that was decompressed can hold on to 64 KiB.
  let length = 0;
  for await (const piece of response.body ?? []) {
    const filled = length;
    length += piece.length;
    if (length > source.maxBytes) {
      throw new PermanentError(
        `Cannot fetch page skip=${skip} of ${source.name}: it has more than ${source.maxBytes} bytes. ` +
          `Set a smaller BATCH_SIZE (now ${source.batchSize}) or a larger MAX_RESPONSE_BYTES, and start a run: it goes on there.`,
      );
    }
    buffer.fit(length, filled, source.maxBytes);
    buffer.bytes.set(piece, filled);
  }
  return buffer.bytes.subarray(0, length);
}

function readPage(bytes: Uint8Array, skip: number, shown: string): Page {
  if (!isUtf8(bytes)) throw new TransientError(`HTTP 200 with text that is not UTF-8 (${shown})`);
  let text: PageText;
  try {
    text = scanPage(withoutMark(bytes));
  } catch {
    throw new TransientError(`HTTP 200 with what is not whole JSON (${shown})`);
  }
  const read = Envelope.safeParse(text.envelope);
  if (!read.success || text.records === undefined) {
    const issues = read.error?.issues.map(({ path, message }) => `${path.join(".") || "answer"}: ${message}`);
    throw new TransientError(`HTTP 200 with JSON that is no page of users (${issues?.join("; ")}; ${shown})`);
  }
  const { records } = text;
  const { total, skip: answered = skip } = read.data;
  if (answered !== skip) throw new TransientError(`HTTP 200 with the page skip=${answered} instead`);
  if (records.length === 0 && skip < total) {
    throw new TransientError(`HTTP 200 with no users, though ${total} were announced`);
  }
  return { skip, total, records };
}

/** What a page's text holds. */
interface PageText {
  /** What has to be right, with an empty list in place of the records. */
  readonly envelope: unknown;
  /** The records; undefined where there is no list of them. */
  readonly records?: Records;
}

/** As in JSON.parse, the last of duplicate keys counts. @throws SyntaxError where the text isn't JSON. */
function scanPage(bytes: Uint8Array): PageText {
  const json = new JsonBytes(bytes);
  let text: { envelope: unknown; records?: Records } = { envelope: undefined };
  const parse = (at: number) => {
    const end = json.end(at);
    return { end, value: json.parsed(at, end) };
  };
  json.whole((at) => {
    if (!json.isObject(at)) {
      const { value, end } = parse(at);
      text = { envelope: value };
      return end;
    }
    const envelope: Record<string, unknown> = {};
    text = { envelope };
    return json.members(at, (key, keyEnd, at) => {
      const name = ENVELOPE.find((name) => json.isKey(key, keyEnd, name));
      if (name === undefined) return json.end(at);
      if (name === "users" && json.isList(at)) {
        text.records = new Records(bytes, json, at);
        envelope.users = [];
        return text.records.end;
      }
      const { value, end } = parse(at);
      envelope[name] = value;
      return end;
    });
  });
  return text;
}

/** What `fetch` threw, as one of our errors. Its text is cleaned of the address, which may hold secrets. */
function classified(error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied) {
    return new PermanentError(
      `Cannot reach the source: ${error.message}. Name its host in the service's --allow-net, and start a run.`,
    );
  }
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new TransientError(`no answer: ${messageOf(cause).replace(/ for url \(\S+\)/, "")}`);
}

/** The delay after failure number `failures`, with up to a fifth added, so that many clients don't come back at the same moment. */
function delay(delaysMs: readonly number[], failures: number): number {
  const base = delaysMs[Math.min(failures, delaysMs.length) - 1] ?? 0;
  return Math.round(base * (1 + Math.random() / 5));
}

/** What `Retry-After` asks for, in milliseconds from now and at most an hour; undefined where it says nothing that can be read. */
export function retryAfterMs(headers: Headers, now: number = Date.now()): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** `HTTP 500 (3 times), HTTP 503 (once)`, in order of appearance. */
function counted(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, n]) => `${reason} (${n === 1 ? "once" : `${n} times`})`).join(", ");
}
