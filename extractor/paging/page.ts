/**
 * Paging by the number of the page: `?page=3&per_page=100`.
 *
 * @module
 */
import { bodyPaths, countAt, emptyThough, type Position, type Style } from "./style.ts";
import type { PagingBy } from "./mod.ts";

/** With a number of pages or a total the end is where it is reached; without one, an empty page. A short page never is. */
export function page(
  { page: param, first = 1, size, pages: pagesAt, total: totalAt }: PagingBy<"page">,
): Style {
  // a total is compared with what was received; the number of pages needs no count
  const counts = totalAt !== undefined && pagesAt === undefined;
  const at = (number: number, received: number): Position =>
    counts ? { page: number, received } : { page: number };
  return {
    by: "page",
    begin: at(first, 0),
    places: bodyPaths(pagesAt, totalAt),
    label: ({ page }) => `${param}=${page}`,
    request({ page }) {
      return { query: { [param]: String(page), ...size && { [size[0]]: String(size[1]) } } };
    },
    after(position, page, seen) {
      const number = position.page as number;
      const received = (position.received as number | undefined ?? 0) + page.length;
      const pages = pagesAt === undefined || page.blank ? seen.pages : countAt(page, pagesAt);
      const total = totalAt === undefined || page.blank ? seen.total : countAt(page, totalAt);
      const isMore = pages !== undefined
        ? number - first + 1 < pages
        : counts && total !== undefined
        ? received < total
        : page.length > 0;
      const said = pages !== undefined || total !== undefined;
      if (isMore && page.length === 0) {
        throw emptyThough(
          page,
          pages === undefined ? `${total} were announced` : `${pages} pages were announced`,
        );
      }
      return { next: isMore ? at(number + 1, received) : undefined, total, pages, said: said && !isMore };
    },
    ahead(next, length, { total, pages }) {
      const number = (next.page as number) + 1;
      const received = (next.received as number | undefined ?? 0) + length;
      const isThere = pages !== undefined
        ? number - first < pages
        : counts && length > 0 && total !== undefined && received < total;
      return isThere ? at(number, received) : undefined;
    },
  };
}
