import assert from "node:assert/strict";
import { numbered, type PagedSource, startPaged, Stopped } from "../tests/support/paged_source.ts";
import type { AnySource } from "./source.ts";

type SourceWithoutUrl = Omit<AnySource, "url">;
const OFFSET: SourceWithoutUrl = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "total" },
};
const CURSOR: SourceWithoutUrl = { records: "items", paging: { by: "cursor", param: "c", next: "next" } };
const HOUR = 3_600_000;
const START = Date.UTC(2026, 10, 1, 3);

const number = (url: URL, name: string) => Number(url.searchParams.get(name) ?? 0);
const written = (records: readonly unknown[]) => records.map((record) => JSON.stringify(record));

/** A source of `count` records, starting at `first`, whose records can be replaced. */
function world(count: number, first = 1) {
  const held = { records: numbered(count, first) };
  const start = () =>
    startPaged(({ url }) => {
      const skip = number(url, "skip");
      return Response.json({ items: held.records.slice(skip, skip + 10), total: held.records.length });
    });
  return { held, start };
}

/** Asserts that the stopped run of `paged` starts over, holds `records` and gives the reason. */
async function beginsAgain(
  paged: PagedSource,
  source: SourceWithoutUrl,
  records: readonly unknown[],
  why: RegExp,
) {
  const { lines, detail } = await paged.extract(source, { now: () => START + HOUR });
  assert.deepEqual(lines, written(records));
  assert.match(String(detail.began_again), why);
  assert.doesNotMatch(String(detail.began_again), /secret/);
  assert.equal(detail.resumed_from_skip, undefined);
  assert.equal((await paged.rawFiles()).length, 1, "nothing is left of what was begun");
}

Deno.test("an unfinished run that is too old isn't resumed: the source is read from its beginning, and the run reports that", async () => {
  const { held, start } = world(25);
  await using paged = await start();
  const stopped = { pages: 1, now: () => START };
  await assert.rejects(paged.extract(OFFSET, stopped), Stopped);
  held.records = numbered(25, 101);
  const late = { now: () => START + 24 * HOUR + 1 };
  const { lines, detail } = await paged.extract(OFFSET, late);
  assert.deepEqual(lines, written(held.records));
  assert.match(
    String(detail.began_again),
    /^Run .* of .*, unfinished at record 10, is not resumed: it began more than 24 h ago \(RESUME_MAX_AGE_HOURS\), at 2026-11-01T03/,
  );
  assert.equal((await paged.rawFiles()).length, 1);

  await assert.rejects(paged.extract(OFFSET, stopped), Stopped);
  const resumed = await paged.extract(OFFSET, { now: () => START + 24 * HOUR });
  assert.deepEqual([resumed.detail.resumed_from_skip, resumed.detail.began_again], [10, undefined]);
  await assert.rejects(paged.extract(OFFSET, stopped), Stopped);
  const configured = { now: () => START + 2 * HOUR, resumeMaxAgeMs: HOUR };
  assert.match(String((await paged.extract(OFFSET, configured)).detail.began_again), /more than 1 h ago/);
});

Deno.test("a run whose source was replaced by one with a greater or smaller total begins again", async () => {
  for (const count of [60, 12]) {
    const { held, start } = world(35);
    await using paged = await start();
    await assert.rejects(paged.extract(OFFSET, { pages: 1, now: () => START }), Stopped);
    held.records = numbered(count, 101);
    await beginsAgain(paged, OFFSET, held.records, /^Cannot resume at page skip=10 of .*35/);
  }
  const { held, start } = world(35);
  await using paged = await start();
  await assert.rejects(paged.extract(OFFSET, { pages: 1, now: () => START }), Stopped);
  held.records = numbered(40);
  const { detail } = await paged.extract(OFFSET, { now: () => START + HOUR });
  assert.deepEqual([detail.records, detail.resumed_from_skip], [40, 10], "a few more are no other source");
});

Deno.test("a run whose cursor has expired begins again, whether the source refuses it or returns the first page", async () => {
  for (const refuses of [true, false]) {
    let session = "a";
    await using paged = await startPaged(({ url }) => {
      const [from, skip] = (url.searchParams.get("c") ?? `${session}-0`).split("-");
      if (from !== session && refuses) return new Response("secret", { status: 410 });
      const at = from === session ? Number(skip) : 0;
      return Response.json({
        items: numbered(10, at + 1),
        next: at < 20 ? `${session}-${at + 10}` : null,
      });
    });
    await assert.rejects(paged.extract(CURSOR, { pages: 2, now: () => START }), Stopped);
    session = "b";
    await beginsAgain(
      paged,
      CURSOR,
      numbered(30),
      /^Cannot resume at page 3 of .*cursors and links may expire/,
    );
  }
});

Deno.test("a run begins again if the definition has changed what it requests", async () => {
  await using paged = await startPaged(({ url }) => {
    const skip = number(url, "skip");
    const all = numbered(30, url.searchParams.get("state") === "all" ? 1 : 101);
    return Response.json({ items: all.slice(skip, skip + number(url, "limit")), total: 30 });
  });
  const all = { ...OFFSET, query: { state: "all" } };
  await assert.rejects(paged.extract(OFFSET, { pages: 1, now: () => START }), Stopped);
  await beginsAgain(paged, all, numbered(30), /the definition now requests something else/);
  await assert.rejects(paged.extract(all, { pages: 1, now: () => START }), Stopped);
  const smaller: SourceWithoutUrl = { ...all, paging: { ...OFFSET.paging, size: 5 } as never };
  const { detail } = await paged.extract(smaller, { now: () => START + HOUR });
  assert.deepEqual(
    [detail.records, detail.resumed_from_skip],
    [30, 10],
    "offsets mean the same in pages of any size",
  );
});

Deno.test("a source that changes once more while its run begins again fails the run, and leaves nothing to resume", async () => {
  let begun = 0;
  await using paged = await startPaged(({ url }) => {
    const skip = number(url, "skip");
    if (skip === 0) begun += 1;
    const total = begun === 1 ? skip === 0 ? 100 : 50 : skip === 0 ? 50 : 5;
    return Response.json({ items: numbered(10, skip + 1), total });
  });
  await assert.rejects(paged.extract(OFFSET, { pages: 1, now: () => START }), Stopped);
  await assert.rejects(
    paged.extract(OFFSET, { now: () => START + HOUR }),
    /^BeginAgain: Cannot continue at page skip=10 of .* a total of 5, though 50 were announced before/,
  );
  assert.equal(JSON.parse(await Deno.readTextFile(paged.state)).current, null);
  assert.deepEqual(await paged.rawFiles(), []);
});

Deno.test("a run that begins again requests changes since the same moment, and contains them all", async () => {
  let session = "a";
  const requested: (string | null)[] = [];
  const changes = numbered(30).map(({ id }) => ({ id, at: `2026-02-01T00:00:${id + 10}Z` }));
  await using paged = await startPaged(({ url: { searchParams: query } }) => {
    const [of, skip] = (query.get("c") ?? `${session}-0`).split("-");
    requested.push(query.get("since"));
    if (of !== session) return new Response(null, { status: 410 });
    const items = changes.filter(({ at }) => at > query.get("since")!).slice(Number(skip), Number(skip) + 10);
    const next = items.length < 10 ? null : `${session}-${Number(skip) + 10}`;
    return Response.json({ items, next });
  });
  const since = { field: "at", from: "2026-01-01T00:00:00Z", send: { since: "{}" } };
  const source = { ...CURSOR, since } as SourceWithoutUrl;
  await assert.rejects(paged.extract(source, { pages: 2, now: () => START }), Stopped);
  session = "b";
  await beginsAgain(paged, source, changes, /cursors and links may expire/);
  assert.deepEqual(new Set(requested), new Set([since.from]));
  const { lines } = await paged.extract(source, { now: () => START + 2 * HOUR });
  assert.deepEqual([lines.length, requested.at(-1)], [0, "2026-02-01T00:00:40Z"]);
});
