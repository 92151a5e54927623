/**
 * Sources with a single response.
 *
 * @module
 */
import { ALL, from, items, type RackCase, status, written } from "./case.ts";

const NONE = { records: "items", paging: { by: "none" } } as const;
const big = (id: string) => `{"id":${id}}`;
const BIG = ["9007199254740993", "9007199254740992", "18446744073709551615"].map(big);

const gzip = (text: string) =>
  new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip")), {
    headers: { "content-encoding": "gzip" },
  });

/** In the order of the table. */
export const ANSWERS: readonly RackCase[] = [
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
    seen: "ASP.NET Web API static JSON",
    source: NONE,
    serve: () => () => new Response(`\ufeff${JSON.stringify({ items: ALL })}`),
  },
  {
    name: "HTML with 200",
    seen: "Cloudflare challenge pages",
    source: NONE,
    serve: () => () => new Response("<html>", { headers: { "content-type": "text/html" } }),
    fails: "HTTP 200 with incomplete or invalid JSON",
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
    fails: "HTTP 200 with incomplete or invalid JSON",
  },
  {
    name: "`error` in a 200",
    seen: "dlt #1786",
    source: { ...NONE, error: "error" },
    serve: () => () => items([], { error: "limit of secret@example.org" }),
    fails: "HTTP 200 with an error in its body",
  },
  {
    name: "null in place of the list",
    seen: "Go services with nil slices",
    source: NONE,
    serve: () => () => items(null),
    fails: "wanted a list, found null",
  },
  {
    name: "no list at all",
    seen: "meltano sdk #1421",
    source: NONE,
    serve: () => () => Response.json({ ok: true }),
    fails: "wanted a list, found nothing",
  },
  {
    name: "an object in place of the list",
    seen: "PHP json_encode of sparse arrays",
    source: NONE,
    serve: () => () => items({ 0: { id: 1 } }),
    fails: "wanted a list, found an object",
  },
  {
    name: "a truncated list",
    seen: "windmill #10860",
    source: NONE,
    serve: () => () => new Response(JSON.stringify({ items: ALL }).slice(0, 90)),
    fails: "HTTP 200 with incomplete or invalid JSON",
  },
  {
    name: "204 for an empty list",
    seen: "Mailchimp exports",
    source: { ...NONE, empty: [204] },
    serve: () => () => status(204),
    ledger: [],
  },
  {
    name: "the same record twice on one page",
    seen: "SQL joins behind OData $expand",
    source: NONE,
    serve: () => () => items([...ALL, ALL[3], ALL[3]]),
  },
  {
    name: "no paging where there are more pages",
    seen: "dlt #2586",
    source: { ...NONE, query: { limit: 10 } },
    serve: () => () => items(from(0)),
    fails: "as many as limit asks for, and names no next page",
  },
  {
    name: "202 with an empty list",
    seen: "GitHub /stats while it computes",
    source: NONE,
    serve: () => () => Response.json({ items: [] }, { status: 202 }),
    fails: "HTTP 202 (2 times)",
  },
  {
    name: "206 with a part of the list",
    seen: "PostgREST Range",
    source: NONE,
    serve: () => () => Response.json({ items: from(0) }, { status: 206 }),
    fails: "HTTP 206 (2 times)",
  },
  {
    name: "200 with an empty body",
    seen: "9router #3051",
    source: NONE,
    serve: () => () => new Response(""),
    fails: "HTTP 200 with incomplete or invalid JSON",
  },
  {
    name: "lines of JSON",
    seen: "BigQuery and Elasticsearch exports",
    source: NONE,
    serve: () => () => new Response(written([...ALL]).join("\n")),
    fails: "HTTP 200 with incomplete or invalid JSON",
  },
  {
    name: "Latin-1",
    seen: "services on old IIS",
    source: NONE,
    serve: () => () =>
      new Response(
        new Uint8Array([...new TextEncoder().encode('{"items":[{"id":"'), 0xe9, 34, 125, 93, 125]),
      ),
    fails: "text that is not UTF-8",
  },
];
