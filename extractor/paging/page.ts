/** Paging by page number: `?page=3&per_page=100`. */
import {
  BEYOND,
  bodyPaths,
  Contradiction,
  countAt,
  emptyBefore,
  emptyThough,
  endBeyond,
  isPageLength,
  type Position,
  type Style,
} from "./style.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The end is reached at the number of pages or the total, or, without either, at an empty page; a short page isn't an
 * end. If one of these numbers fell, records were deleted, and later records have moved to pages that were already
 * read. These pages are requested again, up to page `again`.
 */
export function page(
  { page: param, first = 1, size, pages: pagesAt, total: totalAt }: PagingBy<"page">,
): Style {
  const isAnnounced = totalAt !== undefined || pagesAt !== undefined;
  const at = (number: number, received: number, again = 0): Position => ({
    page: number,
    ...isAnnounced ? { received } : {},
    ...number <= again ? { again } : {},
  });
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
      const before = Number(position.received ?? 0);
      const received = before + page.length;
      const end = endBeyond(position, page, totalAt, seen, received);
      if (end !== undefined) return end;
      const pages = countAt(page, pagesAt, seen.pages);
      const total = countAt(page, totalAt, seen.total);
      const read = number - first + 1;
      if (pages !== undefined && read > pages && page.length > 0) {
        throw new Contradiction(`${page.noun}, though ${pages} pages were announced`);
      }
      const again = Number(position.again ?? 0);
      // average length of the earlier pages: the last one may be short
      const length = before > 0 ? before / (read - 1) : page.length;
      const back = Math.min(
        read - 1,
        Math.max(
          Math.ceil(((seen.total ?? 0) - (total ?? 0)) / Math.max(length, 1)),
          (seen.pages ?? 0) - (pages ?? 0),
        ),
      );
      if (back > 0) {
        const next = at(number - back, Math.round(before - back * length), Math.max(number, again));
        return { next, total, pages };
      }
      if (pages === undefined && total !== undefined && isPageLength(total, page, size?.[1] ?? 1, read - 1)) {
        return { next: { ...at(number + 1, received), beyond: BEYOND }, total };
      }
      const isMore = pages !== undefined
        ? read < pages
        : total !== undefined
        ? received < total
        : page.length > 0;
      const isStatedEnd = pages !== undefined || total !== undefined;
      const isAll = total !== undefined && received >= total;
      const isLastEmpty = pages !== undefined && read === pages && read > 1 && !page.blank && !isAll;
      if ((isMore || isLastEmpty) && page.length === 0) {
        throw pages === undefined ? emptyBefore(page, total!) : emptyThough(
          page,
          `${pages} pages were announced (if they count from 0, set first: 0; if that isn't the true number, name no pages)`,
        );
      }
      const next = isMore ? at(number + 1, received, again) : undefined;
      return { next, total, pages, isStatedEnd: isStatedEnd && !isMore };
    },
    ahead(next, length, { total, pages }) {
      const number = (next.page as number) + 1;
      const received = (next.received as number | undefined ?? 0) + length;
      const isThere = pages !== undefined
        ? number - first < pages
        : length > 0 && total !== undefined && received < total;
      return isThere ? at(number, received, Number(next.again ?? 0)) : undefined;
    },
  };
}
