/**
 * All pages of the source, one after the other.
 *
 * @module
 */
import { PermanentError } from "../shared/errors/errors.ts";
import { fetchPage, type Page, PageBuffer } from "./page.ts";
import type { Source } from "./source.ts";

/** A source that grows beyond twice its first total and 10,000 records more, while it is read, counts as endless. */
const MAX_GROWTH = { factor: 2, plus: 10_000 } as const;

/**
 * Yields the pages from record `skip` to the end of the source, and fetches the next page while the last one is used. A page may hold fewer
 * records than were asked for; the next one begins where it ended. A page is valid until the next one is asked for. The latest total says
 * where the end is, as a source can grow or shrink in the meantime.
 *
 * @param firstTotal how many records the source had on the run's first page; undefined where that page is still to be fetched
 * @throws as `fetchPage`, and PermanentError when the source keeps growing.
 */
export async function* pagesOf(
  source: Source,
  { skip, firstTotal }: { skip: number; firstTotal: number | undefined },
  signal: AbortSignal,
): AsyncGenerator<Page> {
  const left = new AbortController();
  const until = AbortSignal.any([signal, left.signal]);
  let [buffer, other] = [new PageBuffer(), new PageBuffer()]; // of the page in use, and of the next one
  let coming: Promise<Page> | undefined = fetchPage(source, skip, until, buffer);
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
    left.abort(new Error("No more pages are wanted."));
    await coming?.catch(() => {});
  }
}
