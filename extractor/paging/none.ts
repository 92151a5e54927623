/** No paging: one answer contains all records. */
import { bodyPaths, countAt, OTHER_NEXT, refuseOtherNext, type Style } from "./style.ts";
import type { PagingBy } from "./mod.ts";

/** An answer that names a next page doesn't contain all records. */
export function none({ total }: PagingBy<"none">): Style {
  return {
    by: "none",
    begin: {},
    places: bodyPaths(total, ...OTHER_NEXT),
    request: () => ({ query: {} }),
    after(_, page) {
      refuseOtherNext(page);
      return { total: countAt(page, total) };
    },
  };
}
