/** Paging by the number of records to skip: `?skip=200&limit=100`. */
import {
  BEYOND,
  bodyPaths,
  Contradiction,
  countAt,
  emptyBefore,
  endBeyond,
  isPageLength,
  type Position,
  type Style,
} from "./style.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The end is reached at the total, or, without one, at an empty page; a short page isn't an end. If the total fell,
 * records were deleted, and later records have moved to pages that were already read. As many records are requested
 * again: those before `again` were read before. A total that equals the first page's length is checked by a request
 * `beyond` it.
 */
export function offset({ offset, limit, size, first = 0, total }: PagingBy<"offset">): Style {
  const at = (skip: number) => ({ skip });
  return {
    by: "offset",
    begin: at(0),
    places: bodyPaths(total, offset),
    at,
    label: ({ skip }) => `${offset}=${first + Number(skip)}`,
    request: ({ skip }) => ({ query: { [limit]: String(size), [offset]: String(first + Number(skip)) } }),
    after(position, page, seen) {
      const skip = position.skip as number;
      const received = skip + page.length;
      const end = endBeyond(position, page, total, seen, received);
      if (end !== undefined) return end;
      const announced = countAt(page, total, seen.total);
      const echo = page.value(offset); // many sources echo the parameter
      if (Number.isInteger(echo) && echo !== first + skip) {
        throw new Contradiction(`the page ${offset}=${echo} instead`);
      }
      if (announced === undefined) return page.length === 0 ? {} : { next: at(received) };
      if (page.length === 0 && skip < announced) throw emptyBefore(page, announced);
      const again = Math.max(Number(position.again ?? 0), received);
      const fell = Math.min(skip, (seen.total ?? announced) - announced);
      if (fell > 0) return { next: to(skip - fell, again), total: announced };
      if (isPageLength(announced, page, size, skip)) {
        return { next: { skip: received, beyond: BEYOND }, total: announced };
      }
      const next = received < announced ? to(received, Number(position.again ?? 0)) : undefined;
      return { next, total: announced, isStatedEnd: next === undefined };
    },
    ahead(next, length, { total }) {
      const skip = (next.skip as number) + length;
      const isThere = length > 0 && total !== undefined && skip < total;
      return isThere ? to(skip, Number(next.again ?? 0)) : undefined;
    },
  };
}

function to(skip: number, again: number): Position {
  return skip < again ? { skip, again } : { skip };
}
