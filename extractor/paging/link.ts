/** Paging by links in the body, or in the header `Link` (RFC 8288). */
import {
  type Answered,
  bodyPaths,
  Contradiction,
  countAt,
  OTHER_NEXT,
  type Position,
  refuseOtherNext,
  saysEnd,
  type Style,
  textAt,
} from "./style.ts";
import { linksIn } from "./link_header.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The body holds the next page's address, absolute or relative. The end is a page without that address; an empty page
 * isn't an end.
 */
export function link({ next: nextAt, total: totalAt }: PagingBy<"link">): Style {
  return {
    ...STYLE,
    by: "link",
    places: bodyPaths(nextAt, totalAt, ...OTHER_NEXT),
    after(_, page, seen) {
      const total = countAt(page, totalAt, seen.total);
      if (page.blank) return { total };
      const next = textAt(page, nextAt);
      if (next === undefined && !saysEnd(page, nextAt)) refuseOtherNext(page);
      if (next === undefined) return { total, isStatedEnd: saysEnd(page, nextAt) };
      return { total, next: follow(next, page) };
    },
  };
}

/**
 * The header `Link` holds the next page's address. The end is a page without that link; an empty page isn't an end. If
 * an earlier page had a backward link, the last page has one too, so a page without the header isn't an end.
 */
export function linkHeader({ rel = "next", total: totalAt }: PagingBy<"link-header">): Style {
  return {
    ...STYLE,
    by: "link-header",
    places: bodyPaths(totalAt, ...OTHER_NEXT),
    after({ others }, page, seen) {
      const total = countAt(page, totalAt, seen.total);
      const header = page.value({ header: "link" });
      if (typeof header !== "string") {
        if (others !== undefined && !page.blank) {
          throw new Contradiction(
            "no header Link, though the page before had one with more than its next page",
          );
        }
        refuseOtherNext(page);
        return { total };
      }
      const links = linksIn(header);
      if (links === undefined) throw new Contradiction("a header Link that can't be read");
      const next = links.find(({ rels }) => rels.includes(rel.toLowerCase()));
      if (next === undefined) {
        if (rel.toLowerCase() !== "next") refuseOtherNext(page);
        return { total, isStatedEnd: true };
      }
      const isSame = (target: string) => sameAddress(target, next.target, page);
      const hasOthers = links.some(({ target, rels }) =>
        rels.some((rel) => OTHERS.has(rel) || (rel === "last" && !isSame(target)))
      );
      return { total, next: { ...follow(next.target, page), ...hasOthers ? { others: 1 } : {} } };
    },
  };
}

/** Link relations that a last page has too; so has the page after one whose `last` isn't its `next`. */
const OTHERS = new Set(["first", "prev", "previous"]);

const STYLE = {
  begin: {},
  mayExpire: true,
  request: ({ link }) => link === undefined ? { query: {} } : { link: String(link) },
} satisfies Partial<Style>;

/** Whether two links are the same, with their parameters in any order. */
function sameAddress(one: string, other: string, { address }: Answered): boolean {
  const [a, b] = [one, other].map((target) => {
    const url = URL.parse(target, address);
    url?.searchParams.sort();
    return url?.href;
  });
  return a === b;
}

function follow(target: string, { address }: Answered): Position {
  const link = URL.parse(target, address);
  if (link === null || !/^https?:$/.test(link.protocol)) {
    throw new Contradiction("a link to the next page that is no HTTP address");
  }
  link.hash = "";
  return { link: link.href };
}
