/** Refuses an only page that may be the first of many. */
import { BeginAgain } from "./outdated.ts";
import type { Page } from "./page.ts";
import type { Source } from "./source.ts";

/** Names of parameters for the page's size. */
export const SIZES = /limit|size|per[-_]?page|page_?len|max_?results|^\W?(?:count|first|max|rows|take|top)$/i;

/**
 * A page that is exactly as long as requested, and names no next one, may be the first of many. `page` is the only one
 * of the source, or of a window of changes.
 *
 * @throws BeginAgain
 */
export function refuseFull({ name, pipeline, query }: Source, { records, way, label }: Page): void {
  const length = records?.length ?? 0;
  if (way.isStatedEnd || length === 0) return;
  for (const [parameter, value] of Object.entries(query)) {
    if (!SIZES.test(parameter) || Number(value) !== length) continue;
    throw new BeginAgain(
      `Cannot tell whether page ${label} of ${name} is all: it holds ${length} ${pipeline}, as many as ${parameter} asks for, and names no next page. ` +
        `Check the definition's paging against the source (and paging.first, where it is a cursor); if there are exactly ${length}, ask for another number.`,
    );
  }
}
