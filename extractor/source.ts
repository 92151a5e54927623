/**
 * The source of a run: its address, how its pages are asked for, and how it is named where people read it.
 *
 * @module
 */
import { pause } from "../shared/actor/backoff.ts";
import type { ConfigOf } from "../shared/config/config.ts";
import type { ExtractorVariables } from "./config.ts";

/** A source, and how patient to be with it. */
export interface Source {
  /** Its address, with whatever query it needs; may hold credentials, so only `name` is shown. */
  readonly url: URL;
  /** The address without credentials and secrets; also what tells one source from another. */
  readonly name: string;
  /** Users asked for in one page. */
  readonly batchSize: number;
  /** Milliseconds that one page may take, headers and body. */
  readonly timeoutMs: number;
  /** Longest page that is read, in bytes after decompression. */
  readonly maxBytes: number;
  /** Further tries of a page that failed. */
  readonly maxRetries: number;
  /** Milliseconds before each further try; the last one is repeated. */
  readonly retryDelaysMs: readonly number[];
  /** Waits, or ends early with the signal. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The source that the configuration names. */
export function sourceOf(config: ConfigOf<typeof ExtractorVariables>): Source {
  const url = new URL(config.API_BASE_URL);
  return {
    url,
    name: redacted(url),
    batchSize: config.BATCH_SIZE,
    timeoutMs: config.HTTP_TIMEOUT_SECONDS * 1_000,
    maxBytes: config.MAX_RESPONSE_BYTES,
    maxRetries: config.MAX_RETRIES,
    retryDelaysMs: config.RETRY_DELAYS_SECONDS.map((seconds) => seconds * 1_000),
    sleep: pause,
  };
}

/** The address of one page; other query parameters stay. */
export function pageUrl(source: Source, skip: number): URL {
  const url = new URL(source.url);
  url.searchParams.set("limit", String(source.batchSize));
  url.searchParams.set("skip", String(skip));
  return url;
}

/** Query parameters whose values are secrets, by the look of their names. */
const SECRET_NAME = /token|key|secret|pass|pwd|auth|sig|credential|session/i;

/** An address that may be shown: without user and password, with `***` for query values that look like secrets. */
export function redacted(address: URL): string {
  const url = new URL(address);
  url.username = "";
  url.password = "";
  url.hash = "";
  for (const name of new Set(url.searchParams.keys())) {
    if (SECRET_NAME.test(name)) url.searchParams.set(name, "***");
  }
  return url.href.slice(0, 2048);
}
