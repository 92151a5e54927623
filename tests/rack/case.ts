/**
 * The cases of the rack: each has a source that behaves as a real one did, and the required result of its
 * run.
 *
 * @module
 */
import type { AnySource } from "../../extractor/source.ts";
import { type Answer, numbered } from "../support/paged_source.ts";

/** A started source. `meanwhile` changes it after an extractor was killed and before the next one starts. */
export type Served = Answer & { readonly meanwhile?: () => void };

export interface RackCase {
  /** The behaviour of the source. */
  readonly name: string;
  /** Where it was observed: a public API or an issue. */
  readonly seen: string;
  readonly source: Omit<AnySource, "url">;
  /** The pipeline to run. `users` have their own definition, to which `source` is equivalent. Default: `things`. */
  readonly pipeline?: "things" | "users";
  /** Starts a source, with separate state for its requests. */
  readonly serve: () => Served;
  /** The records that exist during the run, as the source writes them. Default: `ALL`. */
  readonly ledger?: readonly string[] | undefined;
  /** Part of the reason with which the run must fail; undefined if it must be complete. */
  readonly fails?: string;
  /** The same for a resumed run, which has forgotten earlier pages, so that another check fails. Default: `fails`. */
  readonly resumedFails?: string;
  /** The records that exist after `meanwhile`. Default: `ledger`. */
  readonly laterLedger?: readonly string[];
  /** Part of the reason why a killed run starts over instead of being resumed. */
  readonly beganAgain?: string;
  /** The maximum number of pages at which a run is stopped and killed. Default: every page. */
  readonly kills?: number;
  /**
   * The requests for a page that isn't accepted at once. A run that is killed between two of them starts
   * them over.
   */
  readonly tries?: number;
  /** Whether the file has the same bytes wherever the run was killed. Default: if the source is complete. */
  readonly isHonest?: boolean;
}

/** The records of most sources. */
export const ALL: readonly { id: number }[] = numbered(25);
const SIZE = 10;

/** Returns `size` records, starting at `skip`. */
export const from = (skip: number, size = SIZE): { id: number }[] => ALL.slice(skip, skip + size);

/** Returns a parameter of a request as a number. */
export const number = (url: URL, name: string, otherwise = 0): number =>
  Number(url.searchParams.get(name) ?? otherwise);

/** Responds with the list and additional members. */
export const items = (list: unknown, more: object = {}): Response => Response.json({ items: list, ...more });

/** Returns the records as JSON texts. */
export const written = (records: readonly unknown[]): string[] => records.map((r) => JSON.stringify(r));

/** Responds with `lie` if it returns a response, otherwise correctly. */
export const unless =
  (right: Answer, lie: (request: Parameters<Answer>[0]) => Response | undefined): Answer =>
  (
    request,
  ) => lie(request) ?? right(request);

/** Responds incorrectly to the first matching request. */
export const onceAt = (
  right: Answer,
  isThere: (request: Parameters<Answer>[0]) => boolean,
  answer: () => Response,
) =>
(): Answer => {
  let done = false;
  return unless(right, (request) => {
    if (done || !isThere(request)) return undefined;
    done = true;
    return answer();
  });
};

/** Responds with a status only. */
export const status = (code: number, headers: HeadersInit = {}): Response =>
  new Response(null, { status: code, headers });
