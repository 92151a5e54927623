/** Paging by the last record: one of its fields is the cursor of the next page (`?starting_after=ch_123`). */
import { bodyPaths, countAt, emptyThough, flagPath, kind, NoPage, saysMore, type Style } from "./style.ts";
import type { PagingBy } from "./mod.ts";

/** The end is reached if the source says that there is no more. If it never says so, an empty page is the end. */
export function last({ param, field, more: moreAt, total: totalAt }: PagingBy<"last">): Style {
  return {
    by: "last",
    mayExpire: true,
    begin: {},
    places: bodyPaths(flagPath(moreAt), totalAt),
    request: ({ cursor }) => ({ query: cursor === undefined ? {} : { [param]: String(cursor) } }),
    after({ cursor: before }, page, seen) {
      const total = countAt(page, totalAt, seen.total);
      const more = saysMore(page, moreAt);
      if (page.blank && moreAt !== undefined && before !== undefined) {
        throw emptyThough(page, `${moreAt} said that there is more`);
      }
      if (more === false || page.length === 0) {
        if (more === true) throw emptyThough(page, `${moreAt} says that there is more`);
        return { total, isStatedEnd: more === false };
      }
      const cursor = page.last(field);
      if ((typeof cursor !== "string" || cursor === "") && typeof cursor !== "number") {
        throw new NoPage(
          page.noun,
          `${field} of its last record: wanted a text or a number, found ${kind(cursor)}`,
        );
      }
      return { total, next: { cursor } };
    },
  };
}
