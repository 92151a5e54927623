/**
 * Sources of one page, of offsets and of page numbers.
 *
 * @module
 */
import { ALL, from, items, number, type RackCase, unless, written } from "./case.ts";
import type { Answer } from "../support/paged_source.ts";

const NONE = { records: "items", paging: { by: "none" } } as const;
const BLIND = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10 },
} as const;
const OFFSET = { records: "items", paging: { ...BLIND.paging, total: "total" } } as const;
const PAGE = { records: "items", paging: { by: "page", page: "page" } } as const;
const PAGES = { records: "items", paging: { by: "page", page: "page", pages: "pages" } } as const;
const TOTALED = { records: "items", paging: { by: "page", page: "page", total: "total" } } as const;

const offset: Answer = ({ url }) => items(from(number(url, "skip")), { total: 25 });
const page: Answer = ({ url }) => items(from((number(url, "page") - 1) * 10), { total: 25, pages: 3 });
const at = (url: URL, skip: number) => number(url, "skip") === skip;
const status = (code: number, headers: HeadersInit = {}) => new Response(null, { status: code, headers });
const once = (answer: () => Response, right: Answer = offset) => () => {
  let done = false;
  return unless(right, ({ url }) => {
    if (done || !(at(url, 10) || number(url, "page") === 2)) return undefined;
    done = true;
    return answer();
  });
};
const big = (id: string) => `{"id":${id}}`;
const BIG = ["9007199254740993", "9007199254740992", "18446744073709551615"].map(big);

/** The list cut after `bytes` bytes, by an HTTP/1.1 server that ends the connection. */
const cut = (bytes: number) => () => {
  const text = new TextEncoder().encode(JSON.stringify({ items: ALL, total: 25 }));
  let sent = false;
  return new Response(
    new ReadableStream({
      pull(controller) {
        if (sent) controller.error(new Error("cut"));
        else controller.enqueue(text.subarray(0, bytes));
        sent = true;
      },
    }),
  );
};

const gzip = (text: string) =>
  new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip")), {
    headers: { "content-encoding": "gzip" },
  });

/** In order of the table. */
export const COUNTED: readonly RackCase[] = [
  {
    name: "everything in one answer",
    seen: "restcountries.com",
    source: NONE,
    serve: () => () => items(ALL),
  },
  {
    name: "the answer is the list",
    seen: "JSONPlaceholder /users",
    source: { paging: { by: "none" } },
    serve: () => () => Response.json(ALL),
  },
  {
    name: "the list is nested deeply",
    seen: "Crossref message.items",
    source: { ...NONE, records: "a.b.c.items" },
    serve: () => () => Response.json({ a: { b: { c: { items: ALL } } } }),
  },
  {
    name: "ids beyond 2^53",
    seen: "X (Twitter) ids",
    source: NONE,
    serve: () => () => new Response(`{"items":[${BIG.join(",")}]}`),
    ledger: BIG,
  },
  {
    name: "records without a key",
    seen: "dlt merge without primary_key",
    source: NONE,
    serve: () => () => items([{ a: 1 }, { a: 1 }, { id: 2 }]),
    ledger: written([{ a: 1 }, { a: 1 }, { id: 2 }]),
  },
  {
    name: "gzip",
    seen: "Stack Exchange",
    source: NONE,
    serve: () => () => gzip(JSON.stringify({ items: ALL })),
  },
  {
    name: "a byte order mark",
    seen: "ASP.NET services",
    source: NONE,
    serve: () => () => new Response(`\ufeff${JSON.stringify({ items: ALL })}`),
  },
  {
    name: "HTML with 200",
    seen: "Cloudflare challenge pages",
    source: NONE,
    serve: () => () => new Response("<html>", { headers: { "content-type": "text/html" } }),
    fails: "HTTP 200 with what is not whole JSON",
  },
  {
    name: "a redirect to a login of another origin",
    seen: "Okta in front of an API",
    source: NONE,
    serve: () => () => status(302, { location: "https://login.example/" }),
    fails: "which is another origin",
  },
  {
    name: "a redirect to a login page",
    seen: "Jira session timeouts",
    source: NONE,
    serve: () => ({ url }) =>
      url.pathname === "/login" ? new Response("<html>") : status(302, { location: "/login" }),
    fails: "HTTP 200 with what is not whole JSON",
  },
  {
    name: "`error` in a 200",
    seen: "dlt #1786",
    source: { ...NONE, error: "error" },
    serve: () => () => items([], { error: "limit of secret@example.org" }),
    fails: "HTTP 200 with an error in its body",
  },
  {
    name: "null for the list",
    seen: "Go services with nil slices",
    source: NONE,
    serve: () => () => items(null),
    fails: "wanted a list, found null",
  },
  {
    name: "no list at all",
    seen: "GraphQL-like envelopes",
    source: NONE,
    serve: () => () => Response.json({ ok: true }),
    fails: "wanted a list, found nothing",
  },
  {
    name: "an object for the list",
    seen: "PHP json_encode of sparse arrays",
    source: NONE,
    serve: () => () => items({ 0: { id: 1 } }),
    fails: "wanted a list, found an object",
  },
  {
    name: "a chunked answer that is cut",
    seen: "nginx proxy_read_timeout",
    source: NONE,
    serve: () => cut(90),
    fails: "no answer",
  },
  {
    name: "204 for an empty list",
    seen: "Mailchimp exports",
    source: { ...NONE, empty: [204] },
    serve: () => () => status(204),
    ledger: [],
  },
  { name: "offset and total", seen: "DummyJSON /users", source: OFFSET, serve: () => offset },
  { name: "offset without a total", seen: "PokéAPI-like lists", source: BLIND, serve: () => offset },
  {
    name: "short pages: the server's own limit is below the one asked for",
    seen: "Salesforce batchSize",
    source: BLIND,
    serve: () => ({ url }) => items(from(number(url, "skip"), 7)),
  },
  {
    name: "page size ignored: everything on the first page",
    seen: "JSON Server before 1.0",
    source: OFFSET,
    serve: () => () => items(ALL, { total: 25 }),
  },
  {
    name: "offset ignored",
    seen: "n8n #12272",
    source: OFFSET,
    serve: () => () => items(from(0), { total: 25 }),
    fails: "were all on earlier pages",
  },
  {
    name: "a total that falls once",
    seen: "Elasticsearch shard failures",
    source: OFFSET,
    serve: once(() => items([], { total: 0 })),
  },
  {
    name: "a total that falls and stays",
    seen: "Elasticsearch index deleted while read",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => number(url, "skip") > 0 ? items([], { total: 0 }) : undefined),
    fails: "with a total of 0, though 25 were announced before",
  },
  {
    name: "total 0 though there are records",
    seen: "Jira Cloud approximate totals",
    source: OFFSET,
    serve: () => ({ url }) => items(from(number(url, "skip")), { total: 0 }),
    fails: "things, though total is 0",
  },
  {
    name: "a total that grows while records are added at the end",
    seen: "Shopify orders",
    source: OFFSET,
    serve: () => ({ url }) =>
      items(from(number(url, "skip")), { total: number(url, "skip") === 0 ? 18 : 25 }),
  },
  {
    name: "an empty page in the middle",
    seen: "filters after paging",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => at(url, 10) ? items([], { total: 25 }) : undefined),
    fails: "no things, though 25 were announced",
  },
  { name: "500, then right", seen: "any API", source: OFFSET, serve: once(() => status(500)) },
  {
    name: "429 with Retry-After, then right",
    seen: "GitHub secondary rate limits",
    source: OFFSET,
    serve: once(() => status(429, { "retry-after": "0" })),
  },
  {
    name: "500 for ever",
    seen: "any API",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => at(url, 10) ? status(500) : undefined),
    fails: "HTTP 500 (2 times)",
  },
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
  {
    name: "404 before the end",
    seen: "load balancers during a deployment",
    source: { ...OFFSET, empty: [404] },
    serve: () => unless(offset, ({ url }) => at(url, 20) ? status(404) : undefined),
    fails: "HTTP 404 with no things, though 25 were announced",
  },
  {
    name: "a record deleted while read: the others move to earlier pages",
    seen: "HubSpot deals",
    source: OFFSET,
    serve: () => ({ url }) => {
      const skip = number(url, "skip");
      const now = ALL.slice(3);
      return skip === 0 ? items(from(0), { total: 25 }) : items(now.slice(skip, skip + 10), { total: 22 });
    },
  },
  {
    name: "records inserted in front while read",
    seen: "Reddit /new",
    source: OFFSET,
    serve: () => {
      const grown = [{ id: 91 }, { id: 92 }, ...ALL];
      return ({ url }) => {
        const skip = number(url, "skip");
        return skip === 0
          ? items(from(0), { total: 25 })
          : items(grown.slice(skip, skip + 10), { total: 27 });
      };
    },
  },
  {
    name: "a record on two pages",
    seen: "SQL without ORDER BY behind PostgREST",
    source: BLIND,
    serve: () => ({ url }) => {
      const twice = [...ALL.slice(0, 10), ALL[9]!, ...ALL.slice(10)];
      return items(twice.slice(number(url, "skip"), number(url, "skip") + 10));
    },
  },
  { name: "pages without a count", seen: "Rick and Morty-like lists", source: PAGE, serve: () => page },
  { name: "pages and their number", seen: "reqres.in total_pages", source: PAGES, serve: () => page },
  { name: "pages and a total", seen: "GitLab X-Total in the body", source: TOTALED, serve: () => page },
  {
    name: "page ignored: the first one for ever",
    seen: "WordPress behind a cache that drops queries",
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
];
