/** Detects an only page that may be the first of many. */
import type { Page } from "./page.ts";
import type { Source } from "./source.ts";

/** Names of parameters for the page's size. */
export const SIZES = /limit|size|per[-_]?page|page_?len|max_?results|^\W?(?:count|first|max|rows|take|top)$/i;

/**
 * Why a page that is exactly as long as requested, and names no next one, may be the first of many. `page` is the only
 * one of the source, or of a window of changes. Undefined if it isn't such a page.
 */
export function fullPage(
  { name, pipeline, query }: Source,
  { records, way, label }: Page,
): string | undefined {
  const length = records?.length ?? 0;
  if (way.isStatedEnd || length === 0) return undefined;
  const found = Object.entries(query).find(([name, value]) => SIZES.test(name) && Number(value) === length);
  if (found === undefined) return undefined;
  return (
    `Cannot tell whether page ${label} of ${name} is all: it holds ${length} ${pipeline}, as many as ${
      found[0]
    } asks for, and names no next page. ` +
    `Check the definition's paging against the source (and paging.first, where it is a cursor); if there are exactly ${length}, ask for another number.`
  );
}
