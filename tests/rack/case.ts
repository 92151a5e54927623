/**
 * A source that behaves as a real one was seen to, and what a run of it must come to.
 *
 * @module
 */
import type { AnySource } from "../../extractor/source.ts";
import { type Answer, numbered } from "../support/paged_source.ts";

/** A source that has begun; `meanwhile` is what happens to it after an extractor was killed, and before the next one. */
export type Served = Answer & { readonly meanwhile?: () => void };

/** A case of the rack. */
export interface RackCase {
  /** What the source does. */
  readonly name: string;
  /** Where it was seen: a public API or an issue. */
  readonly seen: string;
  readonly source: Omit<AnySource, "url">;
  /** Whose definition it has: `users` have their own, and `source` is the same in other words. Default: `things`. */
  readonly pipeline?: "things" | "users";
  /** Begins a source: what it remembers of its requests is its own. */
  readonly serve: () => Served;
  /** The records that exist while it is read, as the source writes them. Default: `ALL`. */
  readonly ledger?: readonly string[] | undefined;
  /** Part of the reason with which the run must fail; undefined where it must be complete. */
  readonly fails?: string;
  /** The same of a run that was resumed, where the pages before are forgotten and another check finds it. Default: `fails`. */
  readonly resumedFails?: string;
  /** The records that exist after `meanwhile`. Default: `ledger`. */
  readonly laterLedger?: readonly string[];
  /** Part of what a run says that was killed, where it begins again in place of being resumed. */
  readonly beganAgain?: string;
  /** At how many pages at most a run is stopped and killed. Default: at each. */
  readonly kills?: number;
  /** Tries of pages that aren't believed at once: a run that is killed between two tries begins them again. */
  readonly tries?: number;
  /** The file's bytes are the same wherever a run was killed. Default: where the source is complete. */
  readonly isHonest?: boolean;
}

/** The records of most sources. */
export const ALL: readonly { id: number }[] = numbered(25);
const SIZE = 10;

/** `size` records from `skip` on. */
export const from = (skip: number, size = SIZE): { id: number }[] => ALL.slice(skip, skip + size);

/** A parameter of a request, as a number. */
export const number = (url: URL, name: string, otherwise = 0): number =>
  Number(url.searchParams.get(name) ?? otherwise);

/** An answer with the list and what stands beside it. */
export const items = (list: unknown, more: object = {}): Response => Response.json({ items: list, ...more });

/** As text of JSON, one a record. */
export const written = (records: readonly unknown[]): string[] => records.map((r) => JSON.stringify(r));

/** Does `lie` where it answers, else what is right. */
export const unless =
  (right: Answer, lie: (request: Parameters<Answer>[0]) => Response | undefined): Answer =>
  (
    request,
  ) => lie(request) ?? right(request);

/** Answers once in place of what is right, where a request is asked for it first. */
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

/** An answer with a status and nothing else. */
export const status = (code: number, headers: HeadersInit = {}): Response =>
  new Response(null, { status: code, headers });
