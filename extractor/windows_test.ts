import assert from "node:assert/strict";
import { startPaged, Stopped } from "../tests/support/paged_source.ts";
import type { AnySource } from "./source.ts";

const ids = (lines: readonly string[]) => lines.map((line) => JSON.parse(line).id);

const SINCE: NonNullable<AnySource["since"]> = {
  field: "at",
  from: "2026-11-10T00:00:00.000Z",
  send: { since: "{}" },
  until: { until: "{}" },
  window: "5d",
};

const hourly = (length: number) =>
  Array.from({ length }, (_, i) => ({ id: i + 1, at: new Date(Date.UTC(2026, 10, 10, i)).toISOString() }));

/** The changes in the requested window. */
const within = <T extends { at: string }>(all: readonly T[], query: URLSearchParams): T[] =>
  all.filter(({ at }) => at >= query.get("since")! && at < query.get("until")!);

Deno.test("what is refused without windows is refused in each window too", async (t) => {
  const offset = { by: "offset", offset: "skip", limit: "limit", size: 10 } as const;
  const all = hourly(25);
  await t.step("a page that repeats the one before", async () => {
    for (const paging of [offset, { ...offset, total: "total" }]) {
      await using source = await startPaged(({ url: { searchParams: query } }) => {
        const found = within(all, query);
        return Response.json({ items: found.slice(0, 10), total: found.length });
      });
      await assert.rejects(
        source.extract({ records: "items", paging, since: SINCE }),
        /page skip=10 of .*: its 10 things were all on earlier pages/,
      );
    }
  });
  await t.step("a page that repeats the one before, after the run was resumed", async () => {
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const found = within(all, query);
      return Response.json({ items: found.slice(0, 10), total: found.length });
    });
    const windows = { records: "items", paging: { ...offset, total: "total" }, since: SINCE };
    await assert.rejects(source.extract(windows, { pages: 1 }), Stopped);
    await assert.rejects(
      source.extract(windows),
      /page skip=10 of .*: its 10 things were all on earlier pages/,
    );
  });
  await t.step("a window that ends before its total", async () => {
    const many = hourly(330);
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const found = within(many, query);
      const isCut = query.get("since")!.startsWith("2026-11-20");
      return Response.json({ items: isCut ? found.slice(0, 2) : found, total: found.length });
    });
    await assert.rejects(
      source.extract({
        records: "items",
        paging: { by: "link", next: "next", total: "total" },
        since: SINCE,
      }),
      /an end after 2 things, though 90 were announced/,
    );
  });
  await t.step("several versions of a record on a page are no repeats", async () => {
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const found = within(all, query).map((one) => ({ ...one, id: Math.ceil(one.id / 3) }));
      return Response.json({ items: found, total: found.length });
    });
    const paging = { by: "link", next: "next", total: "total" } as const;
    const { detail } = await source.extract({ records: "items", paging, since: SINCE });
    assert.equal((detail as { missing?: number }).missing ?? 0, 0);
  });
  await t.step(
    "a window with exactly a page of changes, of a source that names next pages, is complete",
    async () => {
      const many = hourly(180).slice(90); // 30 in the first window, 60 in the second
      await using source = await startPaged(({ url: { searchParams: query } }) => {
        const found = within(many, query);
        const page = Number(query.get("page") ?? 1);
        const next = new URLSearchParams({ ...Object.fromEntries(query), page: String(page + 1) });
        const headers = 30 * page < found.length ? { link: `</things?${next}>; rel="next"` } : undefined;
        return Response.json(
          found.slice(30 * page - 30, 30 * page),
          headers === undefined ? {} : { headers },
        );
      });
      const { lines } = await source.extract({
        query: { limit: 30 },
        paging: { by: "link-header" },
        since: SINCE,
      });
      assert.equal(lines.length, 90);
    },
  );
  await t.step("a record that is sent again in place of another", async () => {
    let isHidden = true;
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const found = within(all, query).map((one) => isHidden && one.id === 11 ? all[9]! : one);
      const skip = Number(query.get("skip"));
      return Response.json({ items: found.slice(skip, skip + 10), total: found.length });
    });
    const windows = { records: "items", paging: { ...offset, total: "total" }, since: SINCE };
    const first = await source.extract(windows);
    assert.equal((first.detail as { missing: number }).missing, 1);
    isHidden = false;
    assert.ok(ids((await source.extract(windows)).lines).includes(11));
  });
  await t.step("a single page that is as long as requested", async () => {
    await using source = await startPaged(({ url: { searchParams: query } }) =>
      Response.json({ items: within(all, query).slice(0, 10) })
    );
    const windows: Omit<AnySource, "url"> = {
      records: "items",
      query: { limit: 10 },
      paging: { by: "none" },
      since: SINCE,
    };
    const reason = /Cannot tell whether page 1 of .* is all: it holds 10 things, as many as limit asks for/;
    await assert.rejects(source.extract(windows), reason);
    await assert.rejects(source.extract(windows, { pages: 1 }), Stopped);
    await assert.rejects(source.extract(windows), reason, "also if the run was resumed after that page");
  });
  await t.step("an empty window whose list is null, or whose status has no body, is no error", async () => {
    for (const isBlank of [true, false]) {
      await using source = await startPaged(({ url: { searchParams: query } }) => {
        const found = within(all, query);
        if (found.length === 0 && isBlank) return new Response(null, { status: 204 });
        const page = Number(query.get("page"));
        const items = found.length === 0 ? null : found.slice(10 * page - 10, 10 * page);
        return Response.json({ items, pages: Math.ceil(found.length / 10) });
      });
      const paging = { by: "page", page: "page", pages: "pages" } as const;
      const { lines } = await source.extract({ records: "items", paging, since: SINCE, empty: [204] });
      assert.equal(lines.length, 25);
    }
  });
});

Deno.test("each window begins earlier by the overlap, so that a filter without its own limits loses nothing", async () => {
  const all = hourly(300);
  await using source = await startPaged(({ url: { searchParams: query } }) =>
    Response.json({ items: all.filter(({ at }) => at > query.get("since")! && at < query.get("until")!) })
  );
  const { lines } = await source.extract({
    records: "items",
    paging: { by: "none" },
    since: { ...SINCE, overlap: "1h" },
  });
  assert.deepEqual(ids(lines), all.map(({ id }) => id));
});

Deno.test("a window that the source refuses to read beyond its end is followed by the next one", async () => {
  const all = hourly(300);
  await using source = await startPaged(({ url: { searchParams: query } }) => {
    const found = within(all, query);
    const skip = Number(query.get("skip"));
    if (skip >= found.length) return new Response(null, { status: 416 });
    return Response.json({ items: found.slice(skip, skip + 120), total: found.length });
  });
  const { lines } = await source.extract({
    records: "items",
    paging: { by: "offset", offset: "skip", limit: "limit", size: 120, total: "total" },
    since: SINCE,
  });
  assert.deepEqual(ids(lines), all.map(({ id }) => id));
});

Deno.test("many changes after windows without any are no endless source", async () => {
  const all = Array.from({ length: 10_500 }, (_, id) => ({ id, at: "2026-11-22T00:00:00.000Z" }));
  await using source = await startPaged(({ url: { searchParams: query } }) => {
    const found = within(all, query);
    const skip = Number(query.get("skip"));
    return Response.json({ items: found.slice(skip, skip + 10_000), total: found.length });
  });
  const { lines } = await source.extract({
    records: "items",
    paging: { by: "offset", offset: "skip", limit: "limit", size: 10_000, total: "total" },
    since: SINCE,
  });
  assert.equal(lines.length, 10_500);
});

Deno.test("thousands of windows without changes are read to the last one", async () => {
  await using source = await startPaged(({ url: { searchParams: query } }) => {
    return Response.json({ items: within([{ id: 1, at: "2026-11-23T00:00:00.000Z" }], query) });
  });
  const since = { ...SINCE, from: "2026-10-01T00:00:00.000Z", window: "1h" as const };
  const { lines } = await source.extract({ records: "items", paging: { by: "none" }, since });
  assert.deepEqual([ids(lines), source.requested.length], [[1], 54 * 24 + 3]);
});
