/**
 * The way through the source, page after page.
 *
 * @module
 */
import { PermanentError } from "../shared/errors/errors.ts";
import { fetchPage, type Page, PageBuffer } from "./pages.ts";
import type { Source } from "./source.ts";

/** Where to begin, and what the source looked like when the run began. */
export interface WalkFrom {
  /** Position of the first record to fetch, from 0. */
  readonly skip: number;
  /** How many records the source had on the run's first page; undefined when this walk fetches that page. */
  readonly firstTotal: number | undefined;
}

/** How far a source may grow while it is read, before it counts as one that never ends: twice its first total and 10,000 records more. */
const MAX_GROWTH = { factor: 2, plus: 10_000 } as const;

/**
 * Yields the pages from `from` to the source's end, fetching one page ahead while the last one is used. A page may hold fewer records than
 * asked for; the walk advances by what it really held. A page is good until the next one is asked for. The end is where the latest total says, as a source may grow or shrink meanwhile.
 *
 * @throws as `fetchPage`, and PermanentError when the source grows and grows.
 */
export async function* walk(source: Source, from: WalkFrom, signal: AbortSignal): AsyncGenerator<Page> {
  const left = new AbortController();
  const until = AbortSignal.any([signal, left.signal]);
  let { firstTotal } = from;
  let [buffer, other] = [new PageBuffer(), new PageBuffer()]; // of the page that is used, and of the one that comes
  let coming: Promise<Page> | undefined = fetchPage(source, from.skip, until, buffer);
  try {
    while (coming !== undefined) {
      const page: Page = await coming;
      firstTotal ??= page.total;
      const next = page.skip + page.records.length;
      if (next < page.total && next > firstTotal * MAX_GROWTH.factor + MAX_GROWTH.plus) {
        throw new PermanentError(
          `Cannot reach the end of ${source.name}: it announced ${firstTotal} users, has given ${next}, and now announces ${page.total}. ` +
            `Make the source end, and start a run.`,
        );
      }
      [buffer, other] = [other, buffer];
      coming = next < page.total ? fetchPage(source, next, until, buffer) : undefined;
      coming?.catch(() => {}); // its failure is met where it is awaited
      yield page;
    }
  } finally {
    left.abort(new Error("The walk was left."));
    await coming?.catch(() => {});
  }
}
