/** Paging by a cursor in the answer: `?cursor=eyJpZCI6…`. */
import {
  BEYOND,
  bodyPaths,
  countAt,
  emptyBefore,
  emptyThough,
  endBeyond,
  flagPath,
  MAYBE_BEYOND,
  moreThan,
  OTHER_NEXT,
  type Position,
  refuseOtherNext,
  saysEnd,
  saysMore,
  type Style,
  textAt,
} from "./style.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The end is reached if the source names no next cursor or says that there is no more. Unless it says that there is
 * more, it is also reached at the announced number of different records, though not on the first page: that number may
 * be the page's length. If the number fell, the end is an empty page after that many records. No other empty page is an
 * end.
 */
export function cursor(
  { param, next: nextAt, first, more: moreAt, total: totalAt }: PagingBy<"cursor">,
): Style {
  const at = (cursor: string | undefined, received: number, repeated = 0): Position => ({
    ...cursor === undefined ? {} : { cursor },
    ...totalAt === undefined ? {} : { received },
    ...totalAt === undefined || repeated === 0 ? {} : { repeated },
  });
  return {
    by: "cursor",
    mayExpire: true,
    begin: at(first, 0),
    places: bodyPaths(nextAt, flagPath(moreAt), totalAt, ...OTHER_NEXT),
    request: ({ cursor }) => ({ query: cursor === undefined ? {} : { [param]: String(cursor) } }),
    after(position, page, seen) {
      const { cursor, received = 0, repeated: before = 0 } = position;
      const soFar = Number(received) + page.length;
      const end = endBeyond(position, page, totalAt, seen, soFar - Number(before));
      if (end !== undefined) return end;
      const total = countAt(page, totalAt, seen.total);
      const more = saysMore(page, moreAt);
      if (page.blank && moreAt !== undefined && cursor !== first) {
        throw emptyThough(page, `${moreAt} said that there is more`);
      }
      const next = page.blank ? undefined : textAt(page, nextAt);
      if (more === true && next === undefined) {
        throw emptyThough(page, `${moreAt} says that there is more`, "next cursor");
      }
      if (next === undefined && more === undefined && cursor === first && page.value(nextAt) === undefined) {
        refuseOtherNext(page);
      }
      const repeated = Number(before) + (totalAt === undefined ? 0 : page.repeated);
      const unique = soFar - repeated;
      const most = seen.most ?? total ?? Infinity;
      const all = Math.max(most, total ?? 0);
      const isStated = totalAt !== undefined && page.value(totalAt) !== undefined;
      const isExceeded = isStated && cursor !== first && page.repeated < page.length && unique > all;
      if (isExceeded && more === undefined && next !== undefined) throw moreThan(page, most);
      const isAtTotal = page.length === 0
        ? total !== undefined && soFar >= total
        : unique >= most && cursor !== first;
      const isReached = isAtTotal && more !== true;
      if (more === false || next === undefined || isReached) {
        // some sources name a next cursor only in reply to a cursor, so the first page proves nothing
        const isProof = page.length === 0 || cursor !== undefined;
        return {
          total,
          isStatedEnd: more === false || isReached || (isProof && !page.blank && saysEnd(page, nextAt)),
        };
      }
      if (total !== undefined && page.length === 0) throw emptyBefore(page, total);
      const following = at(next, soFar, repeated);
      if (more !== undefined || soFar < all) return { next: following, total };
      return { next: { ...following, beyond: unique < all ? MAYBE_BEYOND : BEYOND }, total };
    },
  };
}
