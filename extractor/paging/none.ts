/** No paging: one answer contains all records. */
import { linksIn } from "./link_header.ts";
import { bodyPaths, Contradiction, countAt, type Style } from "./style.ts";
import type { PagingBy } from "./mod.ts";

/** An answer whose header `Link` names a next page doesn't contain all records. */
export function none({ total }: PagingBy<"none">): Style {
  return {
    by: "none",
    begin: {},
    places: bodyPaths(total),
    request: () => ({ query: {} }),
    after(_, page) {
      const header = page.value({ header: "link" });
      const links = typeof header === "string" ? linksIn(header) ?? [] : [];
      if (links.some(({ rels }) => rels.includes("next"))) {
        throw new Contradiction('a next page in its header Link: wanted paging: { by: "link-header" }');
      }
      return { total: countAt(page, total) };
    },
  };
}
