import assert from "node:assert/strict";
import { PermanentError } from "../shared/errors/errors.ts";
import { type Answer, numbered, startPaged } from "../tests/support/paged_source.ts";
import { ending } from "./ending.ts";
import type { AnySource } from "./source.ts";

const json = (body: unknown, headers: HeadersInit = {}) => Response.json(body, { headers });
const number = (url: URL, name: string) => Number(url.searchParams.get(name) ?? 0);
const ALL = numbered(25);
const from = (skip: number, size = 10) => ALL.slice(skip, skip + size);

type SourceWithoutUrl = Omit<AnySource, "url">;
const OFFSET: SourceWithoutUrl = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "total" },
};
const UNCOUNTED: SourceWithoutUrl = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10 },
};
const CURSOR: SourceWithoutUrl = {
  records: "items",
  paging: { by: "cursor", param: "c", next: "next", more: "more" },
};
const LINK: SourceWithoutUrl = { records: "items", paging: { by: "link", next: "next" } };
const HEADER: SourceWithoutUrl = { paging: { by: "link-header" } };

/** Sources that seem to have ended, or never end. */
const LOUD: Record<string, { source: SourceWithoutUrl; answer: Answer; reason: RegExp }> = {
  "an empty page where more is announced": {
    source: OFFSET,
    answer: ({ url }) =>
      json({ items: number(url, "skip") === 10 ? [] : from(number(url, "skip")), total: 25 }),
    reason: /page skip=10 of .*: HTTP 200 with no things, though 25 were announced/,
  },
  "a status that means an empty list where more is announced": {
    source: { ...OFFSET, empty: [404] },
    answer: ({ url }) =>
      number(url, "skip") === 20
        ? new Response(null, { status: 404 })
        : json({ items: from(number(url, "skip")), total: 25 }),
    reason: /page skip=20 of .*: HTTP 404 with no things, though 25 were announced/,
  },
  "fewer records than announced": {
    source: { records: "items", paging: { by: "cursor", param: "c", next: "next", total: "total" } },
    answer: ({ url }) =>
      json({
        items: from(number(url, "c")),
        total: 100,
        next: number(url, "c") < 20 ? number(url, "c") + 10 : null,
      }),
    reason:
      /page 3 of .*: an end after 25 things, though 100 were announced \(if that isn't the true number, name no total\)/,
  },
  "no link though more records are announced": {
    source: { records: "items", paging: { by: "link", next: "next", total: "count" } },
    answer: ({ url }) =>
      json({
        items: from(number(url, "skip")),
        count: 100,
        next: number(url, "skip") < 20 ? `/things?skip=${number(url, "skip") + 10}` : null,
      }),
    reason: /page 3 of .*: an end after 25 things, though 100 were announced/,
  },
  "no header Link though more records are announced": {
    source: { paging: { by: "link-header", total: { header: "X-Total" } } },
    answer: () => json(ALL, { "x-total": "100" }),
    reason: /page 1 of .*: an end after 25 things, though 100 were announced/,
  },
  "a flag for the end though more records are announced": {
    source: {
      records: "items",
      paging: { by: "last", param: "after", field: "id", more: "more", total: "total" },
    },
    answer: ({ url }) =>
      json({ items: from(number(url, "after")), total: 100, more: number(url, "after") < 15 }),
    reason: /page 3 of .*: an end after 25 things, though 100 were announced/,
  },
  "an empty page after the last record though more are announced": {
    source: { paging: { by: "last", param: "after", field: "id", total: { header: "X-Total" } } },
    answer: ({ url }) => json(from(number(url, "after")), { "x-total": "100" }),
    reason: /page 4 of .*: an end after 25 things, though 100 were announced/,
  },
  "one answer that is shorter than announced": {
    source: { records: "items", paging: { by: "none", total: "total" } },
    answer: () => json({ items: ALL, total: 100 }),
    reason: /page 1 of .*: an end after 25 things, though 100 were announced/,
  },
  "repeated records in place of announced ones": {
    source: { records: "items", paging: { by: "link", next: "next", total: "count" } },
    answer: ({ url }) =>
      json({
        items: [...from(number(url, "skip")), ...from(0, number(url, "skip") + 5)],
        count: 65,
        next: number(url, "skip") < 20 ? `/things?skip=${number(url, "skip") + 10}` : null,
      }),
    reason: /announced 65 things, and 25 came on 3 pages/,
  },
  "a link with a total to the page itself": {
    source: { records: "items", paging: { by: "link", next: "next", total: "count" } },
    answer: ({ url }) => json({ items: from(0), count: 25, next: url.href }),
    reason: /lead in a circle/,
  },
  "an offset that the source ignores": {
    source: UNCOUNTED,
    answer: () => json({ items: from(0) }),
    reason: /page skip=10 of .*: its 10 things were all on earlier pages. Does the source respect skip\?/,
  },
  "another page than the requested one": {
    source: OFFSET,
    answer: () => json({ items: from(0), total: 25, skip: 0 }),
    reason: /page skip=10 of .*: HTTP 200 with the page skip=0 instead/,
  },
  "no next cursor though more records are announced": {
    source: CURSOR,
    answer: () => json({ items: from(0), next: null, more: true }),
    reason: /HTTP 200 with no next cursor, though more says that there is more/,
  },
  "a missing flag": {
    source: CURSOR,
    answer: () => json({ items: from(0), next: null }),
    reason: /no page of things \(more: wanted true or false, found nothing\)/,
  },
  "cursors in a circle": {
    source: CURSOR,
    answer: ({ url }) => json({ items: [], more: true, next: url.searchParams.get("c") === "a" ? "b" : "a" }),
    reason: /after page 3 of .*: the next page that it names was there before, so the pages lead in a circle/,
  },
  "a link to the page itself": {
    source: LINK,
    answer: ({ url }) => json({ items: from(0), next: url.href }),
    reason: /lead in a circle/,
  },
  "endless pages without records": {
    source: LINK,
    answer: ({ nth }) => json({ items: [], next: `/things?${nth}` }),
    reason: /1000 pages in a row held no things, and each named a next one/,
  },
  "a link to another origin": {
    source: LINK,
    answer: () => json({ items: from(0), next: "https://elsewhere.example/things?page=2" }),
    reason: /it leads to https:\/\/elsewhere\.example, which is another origin.*source\.origins/,
  },
  "a link that isn't an address": {
    source: LINK,
    answer: () => json({ items: from(0), next: "file:///etc/passwd" }),
    reason: /a link to the next page that is no HTTP address/,
  },
  "a redirect to another origin": {
    source: LINK,
    answer: () => new Response(null, { status: 302, headers: { location: "https://elsewhere.example/" } }),
    reason: /it redirects to https:\/\/elsewhere\.example, which is another origin/,
  },
  "a header Link to a next page of a source with a single page": {
    source: { paging: { by: "none" } },
    answer: () => json(from(0), { link: '</things?page=2>; rel="next"' }),
    reason: /HTTP 200 with a next page in its header Link: wanted paging: \{ by: "link-header" \}/,
  },
  "a header Link that can't be parsed": {
    source: HEADER,
    answer: () => json(from(0), { link: 'https://example.org/2; rel="next"' }),
    reason: /a header Link that can't be read/,
  },
  "a total that is missing from its header": {
    source: { paging: { by: "page", page: "page", total: { header: "X-Total" } } },
    answer: () => json(from(0)),
    reason: /header X-Total: wanted a whole number, found nothing/,
  },
  "an error in the body of a 200": {
    source: { ...LINK, error: "error" },
    answer: () => json({ items: from(0), error: { message: "a secret" } }),
    reason: /HTTP 200 with an error in its body \(error holds an object\)/,
  },
  "null in place of the list": {
    source: LINK,
    answer: () => json({ items: null, message: "slow down" }),
    reason: /no page of things \(items: wanted a list, found null\)/,
  },
  "an answer without the list": {
    source: LINK,
    answer: () => json({ message: "slow down" }),
    reason: /no page of things \(items: wanted a list, found nothing\)/,
  },
  "an object in place of the list": {
    source: HEADER,
    answer: () => json({ message: "slow down" }),
    reason: /no page of things \(answer: wanted a list, found an object\)/,
  },
  "a status that means neither success nor an empty list": {
    source: { ...LINK, empty: [404] },
    answer: () => new Response(null, { status: 410 }),
    reason: /HTTP 410 \(2 times\)/,
  },
};

Deno.test("a source that seems to end early fails the run with a reason, never green and short", async (t) => {
  for (const [name, { source, answer, reason }] of Object.entries(LOUD)) {
    await t.step(name, async () => {
      await using paged = await startPaged(answer);
      const failure = await paged.failure(source);
      assert.match(failure, reason);
      assert.doesNotMatch(failure, /a secret|slow down/, "nothing of the answer is quoted");
    });
  }
});

/** Unusual sources that are complete. */
const COMPLETE: Record<string, { source: SourceWithoutUrl; answer: Answer }> = {
  "short pages": { source: UNCOUNTED, answer: ({ url }) => json({ items: from(number(url, "skip"), 7) }) },
  "an empty page with a link to the next one": {
    source: LINK,
    answer: ({ url }) => {
      const page = number(url, "page");
      if (page === 1) return json({ items: [], next: "/things?page=2" });
      const skip = page < 1 ? 0 : (page - 1) * 10;
      return json({ items: from(skip), next: skip + 10 < 25 ? `/things?page=${page + 1}` : "" });
    },
  },
  "null in place of the list at an announced end": {
    source: CURSOR,
    answer: ({ url }) =>
      number(url, "c") === 0 ? json({ items: ALL, more: true, next: 1 }) : json({ items: null, more: false }),
  },
  "a status that means an empty list": {
    source: { ...UNCOUNTED, empty: [204, 404] },
    answer: ({ url }) =>
      number(url, "skip") < 25
        ? json({ items: from(number(url, "skip")) })
        : new Response(null, { status: 204 }),
  },
  "an empty place for errors": {
    source: { ...LINK, error: "errors" },
    answer: () => json({ errors: [], items: ALL, next: null }),
  },
  "a passing error": {
    source: { ...LINK, error: "error" },
    answer: ({ nth }) => nth === 1 ? json({ error: "slow down" }) : json({ items: ALL }),
  },
  "a link that is missing once": {
    source: { records: "items", paging: { by: "link", next: "next", total: "count" } },
    answer: ({ url, nth }) => {
      const skip = number(url, "skip");
      const next = skip < 20 && nth !== 1 ? `/things?skip=${skip + 10}` : null;
      return json({ items: from(skip), count: 25, next });
    },
  },
  "a total that falls once": {
    source: OFFSET,
    answer: ({ url, nth }) =>
      nth === 2 ? json({ items: [], total: 0 }) : json({ items: from(number(url, "skip")), total: 25 }),
  },
};

Deno.test("a source that looks strange but marks its end is complete", async (t) => {
  for (const [name, { source, answer }] of Object.entries(COMPLETE)) {
    await t.step(name, async () => {
      await using paged = await startPaged(answer);
      assert.deepEqual((await paged.extract(source)).lines, ALL.map((record) => JSON.stringify(record)));
    });
  }
});

Deno.test("a run whose source contradicts the received records is discarded, and the next one starts at the source's beginning", async () => {
  let total = 100;
  await using paged = await startPaged(({ url }) => {
    const skip = number(url, "skip");
    return json({ items: skip === 50 ? [] : numbered(10, skip + 1), total: skip === 50 ? 0 : total });
  });
  await assert.rejects(paged.extract(OFFSET), (error: unknown) => {
    assert.ok(error instanceof PermanentError && error.retryable);
    assert.match(
      error.message,
      /page skip=50 of .*: HTTP 200 with a total of 0, though 100 were announced before, and it stayed so\. 50 things had come/,
    );
    return true;
  });
  assert.deepEqual(await paged.rawFiles(), []);
  assert.equal(JSON.parse(await Deno.readTextFile(paged.state)).current, null);
  total = 40;
  assert.equal((await paged.extract(OFFSET)).lines.length, 40);
});

Deno.test("a truncated answer is refused, also if its length was announced", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      const body = JSON.stringify(ALL);
      await connection.read(new Uint8Array(4_096));
      await connection.write(
        new TextEncoder().encode(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${
            body.slice(0, 90)
          }`,
        ),
      );
      connection.close();
    }
  })().catch(() => {});
  await using paged = await startPaged(() => json([]));
  await assert.rejects(
    paged.extract({ url: `http://127.0.0.1:${listener.addr.port}/`, paging: { by: "none" } }),
    /no answer: .*\(2 times\)/,
  );
  listener.close();
  await serving;
});

Deno.test("a tenth of the announced records, at least ten and at most half, may disappear while a source is read; more are missing", () => {
  assert.deepEqual(ending({ records: 90, announced: 100 }), { missing: 10, isComplete: true });
  assert.deepEqual(ending({ records: 89, announced: 100 }), { missing: 11, isComplete: false });
  assert.deepEqual(ending({ records: 5, announced: 10 }), { missing: 5, isComplete: true });
  assert.deepEqual(ending({ records: 4, announced: 10 }), { missing: 6, isComplete: false });
  assert.deepEqual(ending({ records: 900, announced: 1_000 }).isComplete, true);
  assert.deepEqual(ending({ records: 12, announced: 10 }), { missing: 0, isComplete: true });
  assert.deepEqual(ending({ records: 5, announced: undefined }), { missing: 0, isComplete: true });
});
