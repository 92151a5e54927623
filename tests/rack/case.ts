/**
 * A source that behaves as a real one was seen to, and what a run of it must come to.
 *
 * @module
 */
import type { AnySource } from "../../extractor/source.ts";
import { type Answer, numbered } from "../support/paged_source.ts";

/** A case of the rack. */
export interface RackCase {
  /** What the source does. */
  readonly name: string;
  /** Where it was seen: a public API or an issue. */
  readonly seen: string;
  readonly source: Omit<AnySource, "url">;
  /** Begins a source: what it remembers of its requests is its own. */
  readonly serve: () => Answer;
  /** The records that exist while it is read, as the source writes them. Default: `ALL`. */
  readonly ledger?: readonly string[];
  /** Part of the reason with which the run must fail; undefined where it must be complete. */
  readonly fails?: string;
  /** The same of a run that was resumed, where the pages before are forgotten and another check finds it. Default: `fails`. */
  readonly resumedFails?: string;
  /** At how many pages at most a run is stopped. Default: 4. */
  readonly kills?: number;
  /** Tries of pages that aren't believed at once: a run that is stopped between two tries begins them again. */
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
