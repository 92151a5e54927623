/** Paging by a cursor in the answer: `?cursor=eyJpZCI6…`. */
import {
  bodyPaths,
  countAt,
  emptyBefore,
  emptyThough,
  type Position,
  saysEnd,
  saysMore,
  type Style,
  textAt,
} from "./style.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The end is reached if the source names no next cursor or says that there is no more. It is also reached at the
 * announced number of records. If that number fell, the end is an empty page after that many records. No other empty
 * page is an end.
 */
export function cursor(
  { param, next: nextAt, first, more: moreAt, total: totalAt }: PagingBy<"cursor">,
): Style {
  const at = (cursor: string | undefined, received: number): Position => ({
    ...cursor === undefined ? {} : { cursor },
    ...totalAt === undefined ? {} : { received },
  });
  return {
    by: "cursor",
    mayExpire: true,
    begin: at(first, 0),
    places: bodyPaths(nextAt, moreAt, totalAt),
    request: ({ cursor }) => ({ query: cursor === undefined ? {} : { [param]: String(cursor) } }),
    after({ cursor, received }, page, seen) {
      const soFar = (received as number | undefined ?? 0) + page.length;
      const total = countAt(page, totalAt, seen.total);
      const more = saysMore(page, moreAt);
      if (page.blank && moreAt !== undefined && cursor !== first) {
        throw emptyThough(page, `${moreAt} said that there is more`);
      }
      const next = page.blank ? undefined : textAt(page, nextAt);
      if (more === true && next === undefined) {
        throw emptyThough(page, `${moreAt} says that there is more`, "next cursor");
      }
      const isReached = total !== undefined && soFar >= (page.length === 0 ? total : seen.most ?? total);
      if (more === false || next === undefined || isReached) {
        // some sources name a next cursor only in reply to a cursor, so the first page proves nothing
        const isProof = page.length === 0 || cursor !== undefined;
        return {
          total,
          isStatedEnd: more === false || isReached || (isProof && !page.blank && saysEnd(page, nextAt)),
        };
      }
      if (total !== undefined && page.length === 0) throw emptyBefore(page, total);
      return { next: at(next, soFar), total };
    },
  };
}
