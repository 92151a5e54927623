/** Paging by links in the body, or in the header `Link` (RFC 8288). */
import { type Answered, Contradiction, saysEnd, type Style, textAt, type Way } from "./style.ts";
import { linksIn } from "./link_header.ts";
import type { PagingBy } from "./mod.ts";

/**
 * The body holds the next page's address, absolute or relative. The end is a page without that address; an empty page
 * isn't an end.
 */
export function link({ next: nextAt }: PagingBy<"link">): Style {
  return {
    ...STYLE,
    by: "link",
    places: [nextAt],
    after(_, page) {
      if (page.blank) return {};
      const next = textAt(page, nextAt);
      return next === undefined ? { isStatedEnd: saysEnd(page, nextAt) } : follow(next, page);
    },
  };
}

/**
 * The header `Link` holds the next page's address. The end is a page without that link; an empty page isn't an end. If
 * an earlier page had a backward link, the last page has one too, so a page without the header isn't an end.
 */
export function linkHeader({ rel = "next" }: PagingBy<"link-header">): Style {
  return {
    ...STYLE,
    by: "link-header",
    places: [],
    after({ others }, page) {
      const header = page.value({ header: "link" });
      if (typeof header !== "string") {
        if (others !== undefined && !page.blank) {
          throw new Contradiction(
            "no header Link, though the page before had one with more than its next page",
          );
        }
        return {};
      }
      const links = linksIn(header);
      if (links === undefined) throw new Contradiction("a header Link that can't be read");
      const next = links.find(({ rels }) => rels.includes(rel.toLowerCase()));
      if (next === undefined) return { isStatedEnd: true };
      const way = follow(next.target, page);
      const hasOthers = links.some(({ rels }) => rels.some((rel) => OTHERS.has(rel)));
      return hasOthers ? { next: { ...way.next, others: 1 } } : way;
    },
  };
}

/** Link relations that a last page has too. */
const OTHERS = new Set(["first", "prev", "previous"]);

const STYLE = {
  begin: {},
  mayExpire: true,
  request: ({ link }) => link === undefined ? { query: {} } : { link: String(link) },
} satisfies Partial<Style>;

function follow(target: string, { address }: Answered): Way {
  const link = URL.parse(target, address);
  if (link === null || !/^https?:$/.test(link.protocol)) {
    throw new Contradiction("a link to the next page that is no HTTP address");
  }
  link.hash = "";
  return { next: { link: link.href } };
}
