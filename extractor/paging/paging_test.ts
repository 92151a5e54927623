import assert from "node:assert/strict";
import type { AnySource } from "../source.ts";
import { type Answer, numbered, startPaged, Stopped } from "../../tests/support/paged_source.ts";

const ALL = numbered(25);
const from = (skip: number, size = 10) => ALL.slice(skip, skip + size);
const json = (body: unknown, headers: HeadersInit = {}) => Response.json(body, { headers });
const number = (url: URL, name: string, otherwise = 0) => Number(url.searchParams.get(name) ?? otherwise);

interface Case {
  readonly source: Omit<AnySource, "url">;
  readonly answer: Answer;
  readonly requested: readonly string[];
}

/** A source of 25 records in pages of ten for each paging style, and the requests it expects. */
const STYLES: Record<string, Case> = {
  "none": {
    source: { paging: { by: "none" } },
    answer: () => json(ALL),
    requested: ["/things"],
  },
  "offset with a total": {
    source: {
      records: "data.items",
      paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "data.total" },
    },
    answer: ({ url }) => json({ data: { items: from(number(url, "skip")), total: 25 } }),
    requested: ["/things?limit=10&skip=0", "/things?limit=10&skip=10", "/things?limit=10&skip=20"],
  },
  "offset with a total in Content-Range, whose pages are partial content": {
    source: {
      paging: {
        by: "offset",
        offset: "offset",
        limit: "limit",
        size: 10,
        total: { header: "Content-Range" },
      },
    },
    answer: ({ url }) => {
      const skip = number(url, "offset");
      const headers = { "content-range": `${skip}-${skip + from(skip).length - 1}/25` };
      return Response.json(from(skip), { status: 206, headers });
    },
    requested: ["/things?limit=10&offset=0", "/things?limit=10&offset=10", "/things?limit=10&offset=20"],
  },
  "offset without a total": {
    source: { paging: { by: "offset", offset: "$skip", limit: "$top", size: 10 } },
    answer: ({ url }) => json(from(number(url, "$skip"))),
    requested: [0, 10, 20, 25].map((skip) => `/things?%24top=10&%24skip=${skip}`),
  },
  "page with a number of pages in a header": {
    source: {
      paging: { by: "page", page: "page", size: ["per_page", 10], pages: { header: "X-WP-TotalPages" } },
    },
    answer: ({ url }) => json(from((number(url, "page") - 1) * 10), { "x-wp-totalpages": "3" }),
    requested: [1, 2, 3].map((page) => `/things?page=${page}&per_page=10`),
  },
  "page with a total, from 0": {
    source: { records: "hits", paging: { by: "page", page: "p", first: 0, total: "meta.count" } },
    answer: ({ url }) => json({ meta: { count: 25 }, hits: from(number(url, "p") * 10) }),
    requested: ["/things?p=0", "/things?p=1", "/things?p=2"],
  },
  "page without a total": {
    source: { records: "results", paging: { by: "page", page: "page" }, empty: [404] },
    answer: ({ url }) => {
      const results = from((number(url, "page") - 1) * 10);
      return results.length > 0 ? json({ results }) : new Response("no such page", { status: 404 });
    },
    requested: [1, 2, 3, 4].map((page) => `/things?page=${page}`),
  },
  "cursor that ends with null": {
    source: { records: "results", paging: { by: "cursor", param: "start_cursor", next: "next_cursor" } },
    answer: ({ url }) => {
      const skip = number(url, "start_cursor");
      return json({ results: from(skip), next_cursor: skip + 10 < 25 ? `${skip + 10}` : null });
    },
    requested: ["/things", "/things?start_cursor=10", "/things?start_cursor=20"],
  },
  "cursor that ends with more: false": {
    source: {
      records: "results",
      paging: { by: "cursor", param: "after", next: "paging.next.after", more: "more" },
    },
    answer: ({ url }) => {
      const skip = number(url, "after");
      return json({ results: from(skip), more: skip + 10 < 25, paging: { next: { after: skip + 10 } } });
    },
    requested: ["/things", "/things?after=10", "/things?after=20"],
  },
  "cursor that never ends, with a total": {
    source: {
      records: "message.items",
      paging: {
        by: "cursor",
        param: "cursor",
        first: "*",
        next: "message.next-cursor",
        total: "message.total-results",
      },
    },
    answer: ({ url }) => {
      const skip = url.searchParams.get("cursor") === "*" ? 0 : number(url, "cursor");
      return json({ message: { items: from(skip), "total-results": 25, "next-cursor": `${skip + 10}` } });
    },
    requested: ["/things?cursor=*", "/things?cursor=10", "/things?cursor=20"],
  },
  "cursor in a header": {
    source: { paging: { by: "cursor", param: "page_info", next: { header: "X-Next" } } },
    answer: ({ url }) => {
      const skip = number(url, "page_info");
      return json(from(skip), skip + 10 < 25 ? { "x-next": `${skip + 10}` } : {});
    },
    requested: ["/things", "/things?page_info=10", "/things?page_info=20"],
  },
  "last record": {
    source: {
      records: "data",
      paging: { by: "last", param: "starting_after", field: "id", more: "has_more" },
    },
    answer: ({ url }) => {
      const after = number(url, "starting_after");
      return json({ data: from(after), has_more: after + 10 < 25 });
    },
    requested: ["/things", "/things?starting_after=10", "/things?starting_after=20"],
  },
  "last record without a flag": {
    source: { paging: { by: "last", param: "after", field: "id" } },
    answer: ({ url }) => json(from(number(url, "after"))),
    requested: ["/things", "/things?after=10", "/things?after=20", "/things?after=25"],
  },
  "link in the body, under a key with dots": {
    source: { records: "value", query: { top: 10 }, paging: { by: "link", next: "@odata.nextLink" } },
    answer: ({ url }) => {
      const skip = number(url, "skip");
      return json({
        value: from(skip),
        ...skip + 10 < 25 ? { "@odata.nextLink": `${url.origin}/things?skip=${skip + 10}` } : {},
      });
    },
    requested: ["/things?top=10", "/things?skip=10", "/things?skip=20"],
  },
  "relative link in the body, with a total": {
    source: { records: "data", paging: { by: "link", next: "links.next", total: "links.count" } },
    answer: ({ url }) => {
      const skip = number(url, "skip");
      return json({
        data: from(skip),
        links: { count: 25, next: skip + 10 < 25 ? `things?skip=${skip + 10}` : null },
      });
    },
    requested: ["/things", "/things?skip=10", "/things?skip=20"],
  },
  "link header": {
    source: { paging: { by: "link-header" } },
    answer: ({ url }) => {
      const skip = number(url, "skip");
      const first = `<${url.origin}/things>; rel="first"`;
      const next = `</things?skip=${skip + 10}>; title="a, \\"b\\"; c"; rel="last next"`;
      return json(from(skip), { link: skip + 10 < 25 ? `${first}, ${next}` : first });
    },
    requested: ["/things", "/things?skip=10", "/things?skip=20"],
  },
};

const LINES = ALL.map((record) => JSON.stringify(record));

Deno.test("with every style of paging each record arrives once, and a run stopped at any page is resumed there, in the same file", async (t) => {
  for (const [style, one] of Object.entries(STYLES)) await t.step(style, () => stoppedAtEachPage(one));
});

async function stoppedAtEachPage({ source, answer, requested }: Case) {
  await using whole = await startPaged(answer);
  const { lines, detail } = await whole.extract(source);
  assert.deepEqual(lines, LINES);
  assert.deepEqual(whole.requested, requested);
  assert.deepEqual([detail.records, detail.pages], [25, requested.length]);
  for (let pages = 1; pages < requested.length; pages++) {
    await using cut = await startPaged(answer);
    await assert.rejects(cut.extract(source, { pages }), Stopped);
    const before = cut.requested.length;
    const [part] = await cut.rawFiles();
    const { lines, detail } = await cut.extract(source);
    assert.deepEqual(lines, LINES, `stopped after page ${pages}`);
    assert.deepEqual(cut.requested.slice(before), requested.slice(pages), "it is resumed at the page");
    assert.ok(cut.requested.length <= requested.length + 1, "one page is asked for twice at most");
    assert.deepEqual(await cut.rawFiles(), [part!.replace(/\.part$/, "")]);
    assert.equal(detail.pages, requested.length);
  }
}

Deno.test("numbers beyond 2^53 keep their digits as cursors, as the last record's field, and as the start of the next run", async () => {
  const ids = ["9007199254740993", "9007199254740995", "9007199254740997"];
  const requested = (names: string) => ids.map((id) => `/things?${names}=${id}`);
  const page = (after: string | null) => ids[ids.indexOf(after ?? "") + 1];
  await using last = await startPaged(({ url }) => {
    const id = page(url.searchParams.get("after"));
    return new Response(id === undefined ? "[]" : `[{"id":${id}}]`);
  });
  const lines = ids.map((id) => `{"id":${id}}`);
  assert.deepEqual(
    (await last.extract({ paging: { by: "last", param: "after", field: "id" } })).lines,
    lines,
  );
  assert.deepEqual(last.requested, ["/things", ...requested("after")]);

  await using cursor = await startPaged(({ url }) => {
    const id = page(url.searchParams.get("c"))!;
    const next = id === ids.at(-1) ? null : id;
    return new Response(`{"things":[{"id":${id}}],"next":${next}}`);
  });
  const paging = { by: "cursor", param: "c", next: "next" } as const;
  assert.deepEqual((await cursor.extract({ records: "things", paging })).lines, lines);
  assert.deepEqual(cursor.requested, ["/things", ...requested("c").slice(0, 2)]);

  await using changes = await startPaged(() =>
    new Response(`[{"id":1,"at":${ids[1]}},{"id":2,"at":${ids[0]}}]`)
  );
  const since = { field: "at", from: 0, send: { since: "{}" } } as const;
  for (let run = 1; run <= 2; run++) await changes.extract({ paging: { by: "none" }, since });
  assert.deepEqual(changes.requested, ["/things?since=0", `/things?since=${ids[1]}`]);
});
