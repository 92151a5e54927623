import assert from "node:assert/strict";
import { numbered, startPaged, Stopped } from "../tests/support/paged_source.ts";
import type { AnySource } from "./source.ts";

const STYLES: Record<string, Omit<AnySource, "url">> = {
  "offset with a total": {
    records: "items",
    concurrency: 4,
    paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "total" },
  },
  "page with a total": {
    records: "items",
    concurrency: 4,
    paging: { by: "page", page: "page", first: 0, total: "total" },
  },
  "page with a number of pages": {
    records: "items",
    concurrency: 4,
    paging: { by: "page", page: "page", first: 0, pages: "pages" },
  },
};

/** A source of 95 records that answers later pages sooner. It ignores the requested page size and uses `size`. */
function source(size = 10) {
  let [open, most] = [0, 0];
  const answers = new Set<Promise<void>>();
  return {
    most: () => most,
    /** Waits until all requests are answered, including those of a stopped run. */
    idle: () => Promise.all(answers),
    start: () =>
      startPaged(async ({ url: { searchParams: query } }) => {
        const skip = Number(query.get("skip") ?? Number(query.get("page")) * size);
        open += 1;
        most = Math.max(most, open);
        const answer = new Promise<void>((done) => setTimeout(done, 20 - (skip % 40) / 4));
        answers.add(answer);
        await answer;
        open -= 1;
        const items = numbered(Math.max(0, Math.min(size, 95 - skip)), skip + 1);
        return Response.json({ items, total: 95, pages: Math.ceil(95 / size) });
      }),
  };
}

const LINES = numbered(95).map((record) => JSON.stringify(record));

for (const [name, definition] of Object.entries(STYLES)) {
  Deno.test(`${name}: several pages are requested at once, kept in order, and a run is resumed where it stopped`, async () => {
    const { most, idle, start } = source();
    await using paged = await start();
    await assert.rejects(paged.extract(definition, { pages: 2 }), Stopped);
    await idle();
    const { pages } = JSON.parse(await Deno.readTextFile(paged.state)).current;
    const before = paged.requested.length;
    const { lines, detail } = await paged.extract(definition);
    assert.deepEqual(lines, LINES);
    assert.ok(most() > 1 && most() <= 4, `${most()} at once`);
    assert.equal(detail.pages, 10);
    assert.ok(pages >= 2 && pages < 10, String(pages));
    const first = new Set(paged.requested.slice(0, pages)); // requested in order, so these are the pages that were kept
    const again = paged.requested.slice(before).filter((path) => first.has(path));
    assert.deepEqual(again, [], "the pages that were there are not asked for again");
  });
}

Deno.test("a source that returns fewer records than requested is read at its own page size, also with several pages at once", async () => {
  const { start } = source(7);
  await using paged = await start();
  assert.deepEqual((await paged.extract(STYLES["offset with a total"]!)).lines, LINES);
});

Deno.test("a page that fails while later ones succeed fails the run at its place, and the later ones are discarded", async () => {
  let isFixed = false;
  await using paged = await startPaged(({ url }) => {
    const skip = Number(url.searchParams.get("skip"));
    if (skip === 30 && !isFixed) return new Response(null, { status: 500 });
    return Response.json({ items: numbered(Math.min(10, 95 - skip), skip + 1), total: 95 });
  });
  const definition = STYLES["offset with a total"]!;
  await assert.rejects(paged.extract(definition), /page skip=30 of .*: HTTP 500 \(2 times\)/);
  assert.equal(JSON.parse(await Deno.readTextFile(paged.state)).current.last_skip, 30);
  isFixed = true;
  assert.deepEqual((await paged.extract(definition)).lines, LINES);
});
