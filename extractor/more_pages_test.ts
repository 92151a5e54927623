import assert from "node:assert/strict";
import { type Answer, numbered, startPaged } from "../tests/support/paged_source.ts";
import type { AnySource } from "./source.ts";

const json = (body: unknown, headers: HeadersInit = {}) => Response.json(body, { headers });
const number = (url: URL, name: string) => Number(url.searchParams.get(name) ?? 0);
const ALL = numbered(25);
const from = (skip: number, size = 10) => ALL.slice(skip, skip + size);
const nextOf = (skip: number) => skip < 20 ? skip + 10 : null;

type SourceWithoutUrl = Omit<AnySource, "url">;
const OFFSET = { by: "offset", offset: "skip", limit: "limit", size: 10 } as const;
const CURSOR = { by: "cursor", param: "c", next: "next" } as const;
const NONE: SourceWithoutUrl = { records: "items", paging: { by: "none" } };

/** Sources that have more records than a careless definition requests. */
const LOUD: Record<string, { source: SourceWithoutUrl; answer: Answer; reason: RegExp }> = {
  "a total that is the page's length, by offset": {
    source: { records: "items", paging: { ...OFFSET, total: "count" } },
    answer: ({ url }) => json({ items: from(number(url, "skip")), count: from(number(url, "skip")).length }),
    reason: /page skip=10 of .*: HTTP 200 with more things than 10, the announced number/,
  },
  "a total that is the page's length, by page": {
    source: { records: "items", paging: { by: "page", page: "page", size: ["size", 10], total: "count" } },
    answer: ({ url }) => json({ items: from(10 * number(url, "page") - 10), count: 10 }),
    reason: /page page=2 of .*: HTTP 200 with more things than 10, the announced number/,
  },
  "a total that is the page's length, by cursor": {
    source: { records: "items", paging: { ...CURSOR, total: "count" } },
    answer: ({ url }) => json({ items: from(number(url, "c")), count: 10, next: nextOf(number(url, "c")) }),
    reason: /page 2 of .*: HTTP 200 with more things than 10, the announced number/,
  },
  "an outage beyond a full first page": {
    source: { records: "items", paging: { ...OFFSET, total: "total" } },
    answer: ({ url }) =>
      number(url, "skip") === 0 ? json({ items: from(0), total: 10 }) : new Response(null, { status: 503 }),
    reason: /page skip=10 of .*: HTTP 503 \(2 times\)/,
  },
  "half of what one answer announces": {
    source: { records: "items", paging: { by: "none", total: "total" } },
    answer: () => json({ items: from(0, 6), total: 12 }),
    reason: /an end after 6 things, though 12 were announced/,
  },
  "a flag for more, without a link": {
    source: { records: "items", paging: { by: "link", next: "nxt" } },
    answer: () => json({ items: from(0), hasMore: true }),
    reason: /HTTP 200 with a next page in hasMore, which the definition's paging doesn't use/,
  },
  "a link in another place": {
    source: { records: "items", paging: { by: "link", next: "odata.nextLink" } },
    answer: () => json({ items: from(0), "@odata.nextLink": "/things?skip=10" }),
    reason: /a next page in @odata\.nextLink/,
  },
  "a link in the header instead of the body": {
    source: { records: "items", paging: { by: "link", next: "next" } },
    answer: () => json({ items: from(0) }, { link: '</things?skip=10>; rel="next"' }),
    reason: /a next page in its header Link/,
  },
  "a link in the body instead of the header": {
    source: { records: "items", paging: { by: "link-header" } },
    answer: () => json({ items: from(0), links: { next: "/things?skip=10" } }),
    reason: /a next page in links\.next/,
  },
  "a cursor in another place": {
    source: { records: "items", paging: CURSOR },
    answer: () => json({ items: from(0), meta: { next_cursor: "abc" } }),
    reason: /a next page in meta\.next_cursor/,
  },
  "a next page of a source without paging": {
    source: NONE,
    answer: () => json({ items: from(0), next_page_token: "abc" }),
    reason: /a next page in next_page_token/,
  },
  "a full page by a parameter with a hyphen": {
    source: { ...NONE, query: { "per-page": 10 } },
    answer: () => json({ items: from(0) }),
    reason: /it holds 10 things, as many as per-page asks for/,
  },
  "no header Link though the page before named a later last page": {
    source: { records: "items", paging: { by: "link-header" } },
    answer: ({ url }) =>
      number(url, "page") === 2
        ? json({ items: from(10) })
        : json({ items: from(0) }, { link: '</things?page=2>; rel="next", </things?page=3>; rel="last"' }),
    reason: /page 2 of .*: HTTP 200 with no header Link, though the page before had one/,
  },
  "an empty last page, as pages are counted from 0": {
    source: { records: "items", paging: { by: "page", page: "page", pages: "pages" } },
    answer: ({ url }) => json({ items: from(10 * number(url, "page")), pages: 3 }),
    reason: /page page=3 of .*: HTTP 200 with no things, though 3 pages were announced/,
  },
  "an expired link whose status also stands for an empty list": {
    source: { records: "items", paging: { by: "link", next: "next" }, empty: [404] },
    answer: ({ url }) =>
      number(url, "skip") === 10
        ? new Response(null, { status: 404 })
        : json({ items: from(0), next: "/things?skip=10" }),
    reason: /page 2 of .*: HTTP 404 \(2 times\)/,
  },
  "records with one key on a page": {
    source: NONE,
    answer: () => json({ items: Array.from({ length: 30 }, (_, line) => ({ id: line % 3, line })) }),
    reason: /Cannot tell the things of .* by id: 27 of the 30 on a page have the id of another one/,
  },
  "pages without end, whose records have no key": {
    source: { records: "items", paging: OFFSET },
    answer: ({ nth }) => json({ items: [{ nth }] }),
    reason: /none of the things on 100 pages has a id, so repeated pages can't be detected/,
  },
};

Deno.test("a source that has more than its definition requests fails the run with the reason", async (t) => {
  for (const [name, { source, answer, reason }] of Object.entries(LOUD)) {
    await t.step(name, async () => {
      await using paged = await startPaged(answer);
      assert.match(await paged.failure(source), reason);
    });
  }
});

/** Sources that are read to their end. */
const COMPLETE: Record<string, { source: SourceWithoutUrl; answer: Answer; records?: number }> = {
  "a flag for more outranks a reached total": {
    source: { records: "items", paging: { ...CURSOR, more: "more", total: "total" } },
    answer: ({ url }) => {
      const next = nextOf(number(url, "c"));
      return json({ items: from(number(url, "c")), total: 10, next, more: next !== null });
    },
  },
  "a cursor whose pages begin with the last record of the page before": {
    source: { records: "items", paging: { ...CURSOR, total: "total" } },
    answer: ({ url }) => {
      const skip = number(url, "c");
      return json({ items: from(skip, 5), total: 25, next: skip + 5 < 25 ? skip + 4 : null });
    },
  },
  "offsets from 1": {
    source: { records: "items", paging: { ...OFFSET, first: 1, total: "total" } },
    answer: ({ url }) => {
      const skip = Math.max(number(url, "skip"), 1) - 1;
      return json({ items: from(skip), total: 25, skip: skip + 1 });
    },
  },
  "a full first page that is all, beyond which the source announces 0 records": {
    records: 10,
    source: { records: "items", paging: { ...OFFSET, total: "total" }, error: "error" },
    answer: ({ url, nth }) => {
      if (number(url, "skip") === 0) return json({ items: from(0), total: 10 });
      return json([{ items: [], total: 0 }, { error: "no such page" }][nth % 2]);
    },
  },
  "a full first page that is all, and a cursor whose page isn't found": {
    records: 10,
    source: { records: "items", paging: { ...CURSOR, total: "total" } },
    answer: ({ url }) =>
      url.searchParams.has("c")
        ? new Response(null, { status: 404 })
        : json({ items: from(0), total: 10, next: "7" }),
  },
  "a record that was added before the end of a cursor": {
    source: { records: "items", paging: { ...CURSOR, total: "total" } },
    answer: ({ url }) => {
      const skip = number(url, "c");
      return json({ items: from(skip), next: nextOf(skip), ...skip === 0 ? { total: 24 } : {} });
    },
  },
  "the last record's field beyond the end, as 404": {
    source: { records: "items", paging: { by: "last", param: "after", field: "id" }, empty: [404] },
    answer: ({ url }) =>
      number(url, "after") === 25
        ? new Response(null, { status: 404 })
        : json({ items: from(number(url, "after")) }),
  },
  "a cursor that repeats a record, and ends beyond the total": {
    records: 24,
    source: { records: "items", paging: { ...CURSOR, total: "total" } },
    answer: ({ url }) => {
      const skip = number(url, "c");
      if (skip === 25) return json({ items: [], total: 25, next: 25 });
      const items = from(skip).map(({ id }) => ({ id: id > 12 ? id - 1 : id })); // 12 comes twice
      return json({ items, total: 25, next: Math.min(skip + 10, 25) });
    },
  },
  "a full first page that is all, and a failure beyond it": {
    records: 10,
    source: { records: "items", paging: { ...OFFSET, total: "total" } },
    answer: ({ url }) =>
      number(url, "skip") === 0 ? json({ items: from(0), total: 10 }) : new Response(null, { status: 500 }),
  },
  "a record that was added in front of a full first page": {
    records: 10,
    source: { records: "items", paging: { ...OFFSET, total: "total" } },
    answer: ({ url }) =>
      number(url, "skip") === 0
        ? json({ items: from(0), total: 10 })
        : json({ items: [{ id: 10 }], total: 11 }),
  },
  "more than a full first page, and a passing failure beyond it": {
    source: { records: "items", paging: { ...CURSOR, more: "more", total: "total" }, error: "error" },
    answer: ({ url, nth }) => {
      if (nth === 2) return json({ error: "slow down" });
      const next = nextOf(number(url, "c"));
      return json({ items: from(number(url, "c")), total: 10, next, more: next !== null });
    },
  },
  "an empty last page, though all announced records came": {
    source: { records: "items", paging: { by: "page", page: "page", pages: "pages", total: "total" } },
    answer: ({ url }) => json({ items: from(5 * number(url, "page") - 5, 5), pages: 6, total: 25 }),
  },
  "a link to the last page that is written otherwise": {
    source: { paging: { by: "link-header" } },
    answer: ({ url }) => {
      const page = number(url, "page") || 1;
      const link = `</things?a=1&page=${page + 1}>; rel="next", </things?page=3>; rel="last"`;
      return json(from(10 * page - 10), page < 3 ? { link } : {});
    },
  },
  "a member next that is no address": {
    source: NONE,
    answer: () => json({ items: ALL, next: "2026-12-24", more: "at the counter" }),
  },
  ...Object.fromEntries(
    [200, 204, 400, 404, 416].map((status) => [`a full first page that is all, and ${status} beyond it`, {
      records: 10,
      source: { records: "items", paging: { ...OFFSET, total: "total" } },
      answer: ({ url }) =>
        number(url, "skip") === 0
          ? json({ items: from(0), total: 10 })
          : status === 204
          ? new Response(null, { status })
          : Response.json({ items: [], total: 10 }, { status }),
    } as { source: SourceWithoutUrl; answer: Answer; records: number }]),
  ),
  "a full first page that is all, and the same beyond it": {
    records: 10,
    source: { records: "items", paging: { by: "page", page: "page", size: ["size", 10], total: "total" } },
    answer: () => json({ items: from(0), total: 10 }),
  },
  "a full first page that is all, and a cursor that is always named": {
    records: 10,
    source: { records: "items", paging: { ...CURSOR, total: "total" } },
    answer: ({ url }) => json({ items: number(url, "c") === 0 ? from(0) : [], total: 10, next: "7" }),
  },
  "a source that grows beyond a full first page": {
    source: { records: "items", paging: { ...OFFSET, total: "total" } },
    answer: ({ url }) =>
      json({ items: from(number(url, "skip")), total: number(url, "skip") === 0 ? 10 : 25 }),
  },
  "a list that is left out, as its total is 0": {
    records: 0,
    source: {
      records: "_embedded.things",
      paging: { by: "page", page: "page", total: "page.totalElements" },
    },
    answer: () => json({ page: { totalElements: 0 } }),
  },
  "a flag that is true at the end": {
    source: { records: "items", paging: { by: "last", param: "after", field: "id", more: "!isLast" } },
    answer: ({ url }) => json({ items: from(number(url, "after")), isLast: number(url, "after") === 20 }),
  },
  "the same record twice on a page": {
    source: NONE,
    answer: () => json({ items: [...ALL, ...ALL] }),
  },
};

Deno.test("a source is read to its end, wherever its numbers seem to put it", async (t) => {
  for (const [name, { source, answer, records = 25 }] of Object.entries(COMPLETE)) {
    await t.step(name, async () => {
      await using paged = await startPaged(answer);
      const wanted = numbered(records).map((record) => JSON.stringify(record));
      assert.deepEqual((await paged.extract(source)).lines, wanted);
    });
  }
});
