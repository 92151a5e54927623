/**
 * Paging by the number of records to leave out: `?skip=200&limit=100`.
 *
 * @module
 */
import { tolerance } from "../ending.ts";
import { bodyPaths, Contradiction, countAt, emptyThough, type Style } from "./style.ts";
import type { PagingBy } from "./mod.ts";

/**
 * With a total the end is where it is reached; without one, an empty page. A short page never is. Where the total fell, records were deleted
 * and later ones have moved to pages that were read: as many are asked for again, once for all before `again`.
 */
export function offset({ offset, limit, size, total }: PagingBy<"offset">): Style {
  const at = (skip: number) => ({ skip });
  return {
    by: "offset",
    begin: at(0),
    places: bodyPaths(total, offset),
    at,
    label: ({ skip }) => `${offset}=${skip}`,
    request: ({ skip }) => ({ query: { [limit]: String(size), [offset]: String(skip) } }),
    after(position, page, seen) {
      const skip = position.skip as number;
      const announced = total === undefined || page.blank ? seen.total : countAt(page, total);
      const echo = page.value(offset); // many sources repeat what was asked for
      if (Number.isInteger(echo) && echo !== skip) {
        throw new Contradiction(`the page ${offset}=${echo} instead`);
      }
      const received = skip + page.length;
      if (announced === undefined) return page.length === 0 ? {} : { next: at(received) };
      if (page.length === 0 && skip < announced) throw emptyThough(page, `${announced} were announced`);
      const { again = 0 } = position as { again?: number };
      const before = seen.total ?? announced;
      const fell = Math.min(skip, before - announced);
      if (fell > 0 && before - announced <= tolerance(before) && received > again) {
        return { next: { skip: skip - fell, again: received }, total: announced };
      }
      const next = received < announced ? { ...position, skip: received } : undefined;
      return { next, total: announced, said: next === undefined };
    },
    ahead(next, length, { total }) {
      const skip = (next.skip as number) + length;
      return length > 0 && total !== undefined && skip < total ? { ...next, skip } : undefined;
    },
  };
}
