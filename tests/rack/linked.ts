/**
 * Sources with cursors and links, and sources of changes.
 *
 * @module
 */
import { ALL, from, items, number, onceAt, type RackCase, unless, written } from "./case.ts";
import type { Answer } from "../support/paged_source.ts";

const CURSOR = { records: "items", paging: { by: "cursor", param: "c", next: "next" } } as const;
const FLAGGED = { records: "items", paging: { ...CURSOR.paging, more: "more" } } as const;
const TOTALED = { records: "items", paging: { ...CURSOR.paging, total: "total" } } as const;
const LAST = { records: "items", paging: { by: "last", param: "after", field: "id", more: "more" } } as const;
const LINK = { records: "items", paging: { by: "link", next: "next" } } as const;
const COUNTED = { records: "items", paging: { ...LINK.paging, total: "count" } } as const;
const HEADER = { paging: { by: "link-header" } } as const;

const nextOf = (skip: number) => skip + 10 < 25 ? skip + 10 : null;
const cursor: Answer = ({ url }) => {
  const skip = number(url, "c");
  return items(from(skip), { next: nextOf(skip), more: nextOf(skip) !== null });
};
const last: Answer = ({ url }) => items(from(number(url, "after")), { more: number(url, "after") + 10 < 25 });
const link: Answer = ({ url }) => {
  const skip = number(url, "p");
  return items(from(skip), { count: 25, next: nextOf(skip) && `?p=${nextOf(skip)}` });
};
const header: Answer = ({ url }) => {
  const skip = number(url, "p");
  const rels = `</things>; rel="first"; title="a, b", </things?p=20>; rel="last"`;
  const next = nextOf(skip) === null ? "" : `, <things?p=${nextOf(skip)}>; rel="x next"`;
  return Response.json(from(skip), { headers: { link: rels + next } });
};
const CHANGES = Array.from({ length: 25 }, (_, i) => ({ id: i + 1, at: `2026-02-01T00:00:${i + 10}Z` }));

/** In the order of the table. */
export const LINKED: readonly RackCase[] = [
  { name: "a cursor", seen: "Slack next_cursor", source: CURSOR, serve: () => cursor },
  { name: "a cursor and a flag", seen: "Notion has_more", source: FLAGGED, serve: () => cursor },
  {
    name: "a cursor that repeats",
    seen: "dlt #3358, t3code #5921",
    source: CURSOR,
    serve: () => ({ url }) => items(from(number(url, "c")), { next: 10 }),
    fails: "lead in a circle",
  },
  {
    name: "cursors in a circle over empty pages",
    seen: "gestalt #2057",
    source: CURSOR,
    serve: () => ({ url }) => items([], { next: number(url, "c") === 1 ? 2 : 1 }),
    fails: "lead in a circle",
  },
  {
    name: "an endless cursor, and a total",
    seen: "Crossref next-cursor",
    source: TOTALED,
    serve: () => ({ url }) => items(from(number(url, "c")), { next: number(url, "c") + 10, total: 25 }),
  },
  {
    name: "an endless cursor over empty pages",
    seen: "Crossref next-cursor",
    source: CURSOR,
    serve: () => ({ url }) => items(from(number(url, "c")), { next: number(url, "c") + 10 }),
    fails: "1000 pages in a row held no things",
    kills: 1, // each run has a thousand pages
  },
  {
    name: "an empty page that names a next one",
    seen: "DynamoDB Scan with a filter",
    source: CURSOR,
    serve: () => ({ url }) => {
      const c = url.searchParams.get("c");
      if (c === "gap") return items([], { next: 10 });
      return items(from(Number(c ?? 0)), { next: c === null ? "gap" : nextOf(Number(c)) });
    },
  },
  {
    name: "a last page without a cursor though more is announced",
    seen: "Airtable offset lost behind a proxy",
    source: FLAGGED,
    serve: () =>
      unless(cursor, ({ url }) => number(url, "c") === 10 ? items(from(10), { more: true }) : undefined),
    fails: "no next cursor, though more says that there is more",
  },
  {
    name: "a last page without a cursor though the total is not reached",
    seen: "PostHog #101793",
    source: TOTALED,
    serve: () => ({ url }) =>
      items(from(number(url, "c")), { next: number(url, "c") < 10 ? 10 : null, total: 90 }),
    fails: "an end after 20 things, though 90 were announced",
    resumedFails: "though 90 were announced",
  },
  {
    name: "a page without the key of the cursor, once",
    seen: "Slack response_metadata",
    source: FLAGGED,
    serve: () => {
      let answered = false;
      return unless(cursor, ({ url }) => {
        if (answered || number(url, "c") !== 10) return undefined;
        answered = true;
        return items(from(10), { more: true });
      });
    },
  },
  {
    name: "an expired cursor",
    seen: "Shopify page_info, Elasticsearch scroll",
    source: CURSOR,
    serve: () =>
      unless(cursor, ({ url }) => number(url, "c") === 10 ? new Response(null, { status: 400 }) : undefined),
    fails: "HTTP 400",
  },
  { name: "the last record's field", seen: "Stripe starting_after", source: LAST, serve: () => last },
  {
    name: "the parameter of the last record ignored",
    seen: "twentyhq twenty #25874",
    source: LAST,
    serve: () => () => items(from(0), { more: true }),
    fails: "lead in a circle",
  },
  {
    name: "an empty page though the flag says more",
    seen: "Stripe lists of deleted objects",
    source: LAST,
    serve: () =>
      unless(last, ({ url }) => number(url, "after") === 10 ? items([], { more: true }) : undefined),
    fails: "no things, though more says that there is more",
  },
  {
    name: "a last record without the field",
    seen: "JSON:API sparse fieldsets",
    source: LAST,
    serve: () =>
      unless(last, ({ url }) => number(url, "after") === 10 ? items([{ a: 1 }], { more: true }) : undefined),
    fails: "id of its last record: wanted a text or a number",
  },
  { name: "a link in the body", seen: "Django REST framework next", source: LINK, serve: () => link },
  {
    name: "a next link to itself",
    seen: "Microsoft Graph @odata.nextLink",
    source: LINK,
    serve: () => ({ url }) => items(from(0), { next: url.href }),
    fails: "lead in a circle",
  },
  {
    name: "links in a circle",
    seen: "SWAPI mirrors",
    source: LINK,
    serve: () => ({ url }) =>
      items(from(number(url, "p")), { next: number(url, "p") === 0 ? "?p=10" : "?p=0" }),
    fails: "lead in a circle",
    resumedFails: "were all on earlier pages",
  },
  {
    name: "a next link to a foreign origin",
    seen: "python-gitlab #1254",
    source: LINK,
    serve: () => () => items(from(0), { next: "https://internal.example/things?p=10" }),
    fails: "which is another origin",
  },
  {
    name: "a next link to another port of the host",
    seen: "http links behind a TLS proxy",
    source: LINK,
    serve: () => ({ url }) => items(from(0), { next: `https://${url.hostname}/things?p=10` }),
    fails: "which is another origin",
  },
  {
    name: "a next link that is missing once, and a total",
    seen: "Django REST framework count",
    source: COUNTED,
    serve: onceAt(
      link,
      ({ url }) => number(url, "p") === 0,
      () => items(from(0), { count: 25, next: null }),
    ),
    tries: 2,
  },
  {
    name: "a next link that is missing, and a total",
    seen: "Django REST framework count",
    source: COUNTED,
    serve: () =>
      unless(
        link,
        ({ url }) => number(url, "p") === 10 ? items(from(10), { count: 90, next: null }) : undefined,
      ),
    fails: "an end after 20 things, though 90 were announced",
  },
  {
    name: "one answer that is shorter than its total",
    seen: "lists with a limit that nobody asked for",
    source: { records: "items", paging: { by: "none", total: "total" } },
    serve: () => () => items(ALL, { total: 1_000 }),
    fails: "an end after 25 things, though 1000 were announced",
  },
  {
    name: "Link header: several rels, relative",
    seen: "GitHub /issues",
    source: HEADER,
    serve: () => header,
  },
  {
    name: "a Link header that can't be parsed",
    seen: "GitSavvy #944",
    source: HEADER,
    serve: () => () => Response.json(from(0), { headers: { link: 'https://a.example/2; rel="next"' } }),
    fails: "a header Link that can't be read",
  },
  {
    name: "Link header to itself",
    seen: "Okta after=",
    source: HEADER,
    serve: () => ({ url }) => Response.json(from(0), { headers: { link: `<${url.href}>; rel="next"` } }),
    fails: "lead in a circle",
  },
  {
    name: "since: sent with every page",
    seen: "GitHub since=",
    source: { ...CURSOR, since: { field: "at", from: "2026-01-01T00:00:00Z", send: { since: "{}" } } },
    serve: () => ({ url }) => {
      if (url.searchParams.get("since") !== "2026-01-01T00:00:00Z") {
        return new Response(null, { status: 400 });
      }
      const c = number(url, "c");
      return items(CHANGES.slice(c, c + 10), { next: nextOf(c) });
    },
    ledger: written(CHANGES),
  },
  {
    name: "no cursor without a first one",
    seen: "dlt #4428",
    source: { ...CURSOR, query: { limit: 10 } },
    serve: () => ({ url }) => {
      const c = url.searchParams.get("c");
      return items(from(Number(c ?? 0)), { next: c === null ? null : nextOf(Number(c)) });
    },
    fails: "as many as limit asks for, and names no next page",
  },
  {
    name: "the same with the first cursor that it requires",
    seen: "dlt #4428, Solr cursorMark",
    source: { records: "items", query: { limit: 10 }, paging: { ...CURSOR.paging, first: "0" } },
    serve: () => ({ url }) => {
      const c = url.searchParams.get("c");
      return items(from(Number(c ?? 0)), { next: c === null ? null : nextOf(Number(c)) });
    },
  },
  {
    name: "the cursor at another place than the definition says",
    seen: "cli-printing-press #2467 (Pipedrive)",
    source: { ...CURSOR, query: { limit: 10 } },
    serve: () => ({ url }) =>
      items(from(number(url, "c")), { additional_data: { next: nextOf(number(url, "c")) } }),
    fails: "as many as limit asks for, and names no next page",
  },
  {
    name: "null in place of the list after the last cursor",
    seen: "dlt #2932",
    source: CURSOR,
    serve: () => ({ url }) => {
      const c = number(url, "c");
      return items(c >= 25 ? null : from(c), { next: c >= 25 ? null : c + 10 });
    },
  },
  {
    name: "a cursor in a header",
    seen: "dlt #2280 (Finom)",
    source: { paging: { by: "cursor", param: "c", next: { header: "NextPageToken" } } },
    serve: () => ({ url }) => {
      const next = nextOf(number(url, "c"));
      return Response.json(from(number(url, "c")), {
        headers: next === null ? {} : { nextpagetoken: `${next}` },
      });
    },
  },
  {
    name: "a flag as text",
    seen: "PHP services",
    source: FLAGGED,
    serve: () => ({ url }) => items(from(number(url, "c")), { next: 10, more: "true" }),
    fails: "more: wanted true or false, found a string",
  },
  {
    name: "a status for an empty list though the flag announced more",
    seen: "Mailchimp exports",
    source: { ...FLAGGED, empty: [204] },
    serve: () =>
      unless(cursor, ({ url }) => number(url, "c") === 20 ? new Response(null, { status: 204 }) : undefined),
    fails: "HTTP 204 with no things, though more said that there is more",
  },
  {
    name: "a cursor that expires, where its status also stands for an empty list",
    seen: "Elasticsearch scrolls",
    source: { ...CURSOR, empty: [404] },
    serve: () =>
      unless(cursor, ({ url }) => number(url, "c") === 20 ? new Response(null, { status: 404 }) : undefined),
    fails: "HTTP 404 (",
  },
  {
    name: "a total that fell below the received records, and a cursor that continues",
    seen: "Crossref while it is indexed",
    source: TOTALED,
    serve: () => ({ url }) => {
      const c = number(url, "c");
      return items(from(c), { next: c + 10, total: c === 10 ? 17 : 25 });
    },
  },
  {
    name: "no Link header at all",
    seen: "gitea #38051",
    source: { ...HEADER, query: { limit: 10 } },
    serve: () => () => Response.json(from(0), { headers: { "x-total-count": "25" } }),
    fails: "as many as limit asks for, and names no next page",
  },
  {
    name: "a Link header missing on one page",
    seen: "netlify git-gateway #48",
    source: HEADER,
    serve: () => unless(header, ({ url }) => number(url, "p") === 10 ? Response.json(from(10)) : undefined),
    fails: "no header Link, though the page before had one with more than its next page",
  },
  {
    name: "a Link header missing once",
    seen: "netlify git-gateway #48",
    source: HEADER,
    serve: () => {
      let dropped = false;
      return unless(header, ({ url }) => {
        if (dropped || number(url, "p") !== 10) return undefined;
        dropped = true;
        return Response.json(from(10));
      });
    },
  },
  {
    name: "a link that is an object",
    seen: "JSON:API links",
    source: { records: "items", paging: { by: "link", next: "links.next" } },
    serve: () => () => items(from(0), { links: { next: { href: "/things?p=10" } } }),
    fails: "links.next: wanted a text, found an object",
  },
];

/** The records of most sources, as JSON texts. */
export const EVERYTHING: readonly string[] = written(ALL);
