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
  Shortened,
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
    after(position, page, seen) {
      const total = countAt(page, totalAt, seen.total);
      if (page.blank) return { total };
      const next = textAt(page, nextAt);
      if (next === undefined && position.link === undefined && !saysEnd(page, nextAt)) refuseOtherNext(page);
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
    after({ others: before }, page, seen) {
      const total = countAt(page, totalAt, seen.total);
      const header = page.value({ header: "link" });
      if (typeof header !== "string") {
        if (before !== undefined && !page.blank) {
          const reason = "no header Link, though the page before had one with more than its next page";
          throw before === FURTHER ? new Shortened(reason) : new Contradiction(reason);
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
      const has = (is: (rel: string, target: string) => boolean) =>
        links.some(({ target, rels }) => rels.some((rel) => is(rel, target)));
      const others = has((rel) => OTHERS.has(rel))
        ? 1
        : has((rel, target) => rel === "last" && !sameAddress(target, next.target, page))
        ? FURTHER
        : undefined;
      return { total, next: { ...follow(next.target, page), ...others === undefined ? {} : { others } } };
    },
  };
}

/** Marks the page after one whose link to the last page leads further than to its next. */
const FURTHER = 2;

/** Link relations that a last page has too. */
const OTHERS = new Set(["first", "prev", "previous"]);

const STYLE = {
  begin: {},
  mayExpire: true,
  request: ({ link }) => link === undefined ? { query: {} } : { link: String(link) },
} satisfies Partial<Style>;

/** Whether two links have the same path, and the same values of the parameters that both have. */
function sameAddress(one: string, other: string, { address }: Answered): boolean {
  const [a, b] = [one, other].map((target) => URL.parse(target, address));
  if (!a || !b || a.pathname !== b.pathname) return false;
  return [...a.searchParams].every(([name, value]) => (b.searchParams.get(name) ?? value) === value);
}

function follow(target: string, { address }: Answered): Position {
  const link = URL.parse(target, address);
  if (link === null || !/^https?:$/.test(link.protocol)) {
    throw new Contradiction("a link to the next page that is no HTTP address");
  }
  link.hash = "";
  return { link: link.href };
}
