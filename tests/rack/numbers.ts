/**
 * Sources with page numbers.
 *
 * @module
 */
import { ALL, from, items, number, onceAt, type RackCase, status, unless, written } from "./case.ts";
import type { Answer } from "../support/paged_source.ts";

const PAGE = { records: "items", paging: { by: "page", page: "page" } } as const;
const PAGES = { records: "items", paging: { by: "page", page: "page", pages: "pages" } } as const;
const TOTALED = { records: "items", paging: { by: "page", page: "page", total: "total" } } as const;

const page: Answer = ({ url }) => items(from((number(url, "page") - 1) * 10), { total: 25, pages: 3 });

/** In the order of the table. */
export const NUMBERS: readonly RackCase[] = [
  {
    name: "404 past the end",
    seen: "Django REST framework",
    source: { ...PAGE, empty: [404] },
    serve: () => unless(page, ({ url }) => number(url, "page") > 3 ? status(404) : undefined),
  },
  {
    name: "404 past the end that the definition doesn't name",
    seen: "Django REST framework",
    source: PAGE,
    serve: () => unless(page, ({ url }) => number(url, "page") > 3 ? status(404) : undefined),
    fails: "HTTP 404 (2 times)",
  },
  { name: "pages without a count", seen: "dlt #1637", source: PAGE, serve: () => page },
  { name: "pages and their number", seen: "reqres.in total_pages", source: PAGES, serve: () => page },
  { name: "pages and a total", seen: "GitLab X-Total in the body", source: TOTALED, serve: () => page },
  {
    name: "page ignored: always the first one",
    seen: "NangoHQ nango-sync #20",
    source: PAGE,
    serve: () => () => items(from(0)),
    fails: "were all on earlier pages",
  },
  {
    name: "an empty page though more pages are announced",
    seen: "Zendesk search",
    source: PAGES,
    serve: () => unless(page, ({ url }) => number(url, "page") === 2 ? items([], { pages: 3 }) : undefined),
    fails: "no things, though 3 pages were announced",
  },
  {
    name: "page numbers and a total: a record deleted while read",
    seen: "invoiceninja #11936",
    source: TOTALED,
    serve: () => {
      let all = ALL;
      return ({ url, nth }) => {
        if (nth === 2) all = all.slice(3);
        const skip = (number(url, "page") - 1) * 10;
        return items(all.slice(skip, skip + 10), { total: all.length });
      };
    },
    ledger: written(ALL.slice(3)),
    tries: 2,
    isHonest: false,
  },
  {
    name: "page numbers and their number: records deleted while read",
    seen: "invoiceninja #11936",
    source: PAGES,
    serve: () => {
      let all = ALL;
      return ({ url, nth }) => {
        if (nth === 2) all = all.slice(6);
        const skip = (number(url, "page") - 1) * 10;
        return items(all.slice(skip, skip + 10), { pages: Math.ceil(all.length / 10) });
      };
    },
    ledger: written(ALL.slice(6)),
    tries: 2,
    isHonest: false,
  },
  {
    name: "a number of pages that falls for one answer",
    seen: "OpenSearch shard failures behind a pager",
    source: PAGES,
    serve: onceAt(page, ({ url }) => number(url, "page") === 2, () => items([], { pages: 0 })),
  },
  {
    name: "records on a page beyond the last one",
    seen: "caches that are older than the list",
    source: PAGES,
    serve: () =>
      unless(page, ({ url }) => number(url, "page") === 2 ? items(from(10), { pages: 1 }) : undefined),
    fails: "things, though 1 pages were announced",
  },
  {
    name: "the same page for page 0 and page 1",
    seen: "GitLab page=0",
    source: { records: "items", paging: { by: "page", page: "page", first: 0 } },
    serve: () => ({ url }) => items(from(Math.max(0, number(url, "page") - 1) * 10)),
    fails: "were all on earlier pages",
  },
  {
    name: "a number of pages that falls and stays",
    seen: "OpenSearch shard failures behind a pager",
    source: PAGES,
    serve: () => ({ url }) => {
      const at = number(url, "page");
      return items(from((at - 1) * 5, 5), { pages: at === 1 ? 5 : 2 });
    },
    fails: "HTTP 200 with 2 pages, though 5 were announced before",
  },
  {
    name: "the last page again beyond the end",
    seen: "Django Paginator.get_page",
    source: PAGE,
    serve: () => ({ url }) => items(from((Math.min(number(url, "page"), 3) - 1) * 10)),
    fails: "its 5 things were all on earlier pages",
  },
];
