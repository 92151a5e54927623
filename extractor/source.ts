import { createHash } from "node:crypto";
import { pause } from "../shared/actor/backoff.ts";
import type { ConfigOf } from "../shared/config/config.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Source as SourceOf } from "../shared/pipeline/mod.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import { type ReadEnv, resolved } from "../shared/pipeline/resolve.ts";
import { Access } from "./access.ts";
import type { ExtractorVariables } from "./config.ts";
import { type AnyPaging, styleOf } from "./paging/mod.ts";
import type { Style } from "./paging/style.ts";
import { Paths } from "./paths.ts";
import { recordPaths } from "./records.ts";

// deno-lint-ignore no-explicit-any
export type AnySource = SourceOf<any>;

export interface Patience {
  /** Milliseconds for one page, headers and body. */
  readonly timeoutMs: number;
  /** Longest page, in bytes after decompression. */
  readonly maxBytes: number;
  readonly maxRetries: number;
  /** Milliseconds before each retry; further retries use the last value. */
  readonly retryDelaysMs: readonly number[];
  /** Resolves early when `signal` is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface Source extends Patience, Disposable {
  /** Also the plural noun for its records in messages. */
  readonly pipeline: string;
  /** The address without credentials and secrets; it also identifies the source. */
  readonly name: string;
  readonly style: Style;
  readonly access: Access;
  /** Path of the list in an answer; undefined if the answer is the list. */
  readonly records: string | undefined;
  /** Paths to read in an answer: the list first, if it has a path. */
  readonly places: Paths;
  /** Paths to read in a record: its key first. */
  readonly recordPaths: Paths;
  /** A path whose presence makes an answer an error. */
  readonly error: string | undefined;
  readonly empty: readonly number[];
  /** The parameters of every request except links, including those of the address. */
  readonly query: Readonly<Record<string, string | number>>;
  /** Distinguishes definitions that request different data from the same address. */
  readonly asks: string;
  /** Number of concurrent requests. */
  readonly concurrency: number;
  readonly since: AnySource["since"];
  /** How to get smaller pages, in words. */
  readonly smallerPages: string;
}

export function patienceOf(config: ConfigOf<typeof ExtractorVariables>): Patience {
  return {
    timeoutMs: config.HTTP_TIMEOUT_SECONDS * 1_000,
    maxBytes: config.MAX_RESPONSE_BYTES,
    maxRetries: config.MAX_RETRIES,
    retryDelaysMs: config.RETRY_DELAYS_SECONDS.map((seconds) => seconds * 1_000),
    sleep: pause,
  };
}

/**
 * The source of `plan`, with the variables that its definition names.
 *
 * @throws PermanentError naming every variable that is missing or can't be used
 */
export function sourceOf({ name: pipeline, definition }: Plan, patience: Patience, readEnv: ReadEnv): Source {
  const { value: source, problems } = resolved(definition.source as AnySource, readEnv, "source");
  if (problems.length > 0) {
    throw new PermanentError(
      `Cannot extract ${pipeline}: ${
        problems.join("; ")
      }. Set the variables, start the services again, and start a run.`,
    );
  }
  const url = new URL(source.url);
  const style = styleOf(source.paging);
  const { records, error } = source;
  const places = [
    ...records === undefined ? [] : [records],
    ...style.places,
    ...error === undefined ? [] : [error],
  ];
  const access = new Access(source);
  return {
    ...patience,
    pipeline,
    name: redacted(url),
    style,
    access,
    records,
    places: new Paths([...new Set(places)]),
    recordPaths: recordPaths(definition.key, source.since?.field),
    error,
    empty: source.empty ?? [],
    query: { ...Object.fromEntries(url.searchParams), ...source.query },
    asks: asksOf(definition, source.paging),
    concurrency: source.concurrency ?? 1,
    since: source.since,
    smallerPages: smallerPages(definition.source.paging, source.paging),
    [Symbol.dispose]: () => access[Symbol.dispose](),
  };
}

/** Derived from the definition's text, so that it holds no secret. The page length of offsets is ignored. */
function asksOf({ key, source: { query, records, since } }: Plan["definition"], paging: AnyPaging): string {
  const way = paging.by === "offset" ? { ...paging, size: 0 } : paging;
  return createHash("sha256").update(JSON.stringify([key, query, records, since, way])).digest("hex").slice(
    0,
    16,
  );
}

/** A hint that names the variable for the page's size, if there is one. */
function smallerPages(written: AnyPaging, paging: AnyPaging): string {
  const sizeOf = (paging: AnyPaging): unknown =>
    paging.by === "offset" ? paging.size : paging.by === "page" ? paging.size?.[1] : undefined;
  const size = sizeOf(written);
  const name = typeof size === "object" && size !== null && "env" in size ? `${size.env}` : undefined;
  return name === undefined
    ? "Ask for smaller pages in the definition's source"
    : `Set a smaller ${name} (now ${sizeOf(paging)})`;
}

/** Names of query parameters whose values are probably secrets. */
const SECRET_NAME = /token|key|secret|pass|pwd|auth|sig|credential|session/i;

/** An address without user and password, and with `***` for query values that look like secrets. */
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
