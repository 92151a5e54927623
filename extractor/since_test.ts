import assert from "node:assert/strict";
import { startPaged, Stopped } from "../tests/support/paged_source.ts";
import { later } from "../shared/pipeline/moments.ts";
import { durationMs, shifted } from "./since.ts";
import type { AnySource } from "./source.ts";

type Changed = { id: number; at: string };

/** A source of changes that applies `since` and `until`, in pages of ten. */
async function changing(changes: Changed[]) {
  return await startPaged(({ url: { searchParams: query } }) => {
    const [since, until] = [query.get("since") ?? "", query.get("until") ?? "9999"];
    const all = changes.filter(({ at }) => at >= since && at < until);
    const skip = Number(query.get("skip"));
    return Response.json({ items: all.slice(skip, skip + 10), total: all.length });
  });
}

const SOURCE: Omit<AnySource, "url"> = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "total" },
  since: { field: "at", from: "2026-01-01T00:00:00Z", send: { since: "{}" } },
};

const change = (id: number, at: string): Changed => ({ id, at });
const ids = (lines: readonly string[]) => lines.map((line) => JSON.parse(line).id);

Deno.test("the next run starts at the latest change that a loaded run contained, minus the overlap; a stopped or unloaded run moves nothing", async () => {
  const changes = Array.from({ length: 25 }, (_, i) => change(i + 1, `2026-02-01T00:00:${String(i + 10)}Z`));
  await using source = await changing(changes);
  await assert.rejects(source.extract(SOURCE, { pages: 2 }), Stopped);
  assert.equal((await source.extract(SOURCE, { isLoaded: false })).lines.length, 25);
  assert.equal((await source.extract(SOURCE)).lines.length, 25);
  assert.ok(
    source.requested.every((path) => path.includes("since=2026-01-01T00%3A00%3A00Z")),
    "one value for the whole run",
  );
  changes.push(change(26, "2026-03-01T00:00:00Z"));
  const overlap = { ...SOURCE, since: { ...SOURCE.since!, overlap: "2s" as const } };
  assert.deepEqual(ids((await source.extract(overlap)).lines), [23, 24, 25, 26]);
  assert.match(source.requested.at(-1)!, /since=2026-02-01T00%3A00%3A32Z/);
  assert.deepEqual(ids((await source.extract(SOURCE)).lines), [26]);
  assert.equal(
    (await source.extract({ ...SOURCE, since: { ...SOURCE.since!, from: "2026-01-01T00:00:00Z" } })).lines
      .length,
    1,
  );
});

Deno.test("a change dated in the future moves the next run at most to the current time", async () => {
  const changes = [change(1, "2026-02-01T00:00:00Z"), change(2, "9000-01-01T00:00:00Z")];
  await using source = await changing(changes);
  await source.extract(SOURCE);
  changes.push(change(3, "2026-11-24T03:00:01Z"));
  assert.deepEqual(ids((await source.extract(SOURCE)).lines), [2, 3]);
  assert.match(source.requested.at(-1)!, /since=2026-11-24T03%3A00%3A00Z/);
});

Deno.test("windows are requested one after the other up to now, and a run is resumed in the window where it stopped", async () => {
  const changes = Array.from(
    { length: 40 },
    (_, i) => change(i + 1, `2026-11-${String(10 + Math.floor(i / 3))}T0${i % 3}:00:00Z`),
  );
  const windows: Omit<AnySource, "url"> = {
    ...SOURCE,
    since: {
      field: "at",
      from: "2026-11-10T00:00:00Z",
      send: { since: "{}" },
      until: { until: "{}" },
      window: "5d",
    },
  };
  await using source = await changing(changes);
  await assert.rejects(source.extract(windows, { pages: 3 }), Stopped);
  const { lines } = await source.extract(windows);
  assert.deepEqual(ids(lines), changes.map(({ id }) => id));
  const requested = source.requested.map((path) =>
    /since=2026-11-(\d+).*until=2026-11-(\d+).*skip=(\d+)/.exec(path)!.slice(1).join(" ")
  );
  assert.deepEqual([...new Set(requested)], [
    "10 15 0",
    "10 15 10",
    "15 20 0",
    "15 20 10",
    "20 24 0",
    "20 24 10", // the window's only page is full, and has as many records as its total
  ]);
  assert.ok(requested.length <= 8);
});

Deno.test("moments are compared as times in any zone and precision, or as numbers, and keep their format when shifted", () => {
  const latest = (...moments: unknown[]) => moments.reduce<string | number | undefined>(later, undefined);
  assert.equal(latest("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500Z"), "2026-01-01T00:00:00.500Z");
  assert.equal(latest("2026-01-01T01:00:00Z", "2026-01-01T01:30:00+01:00"), "2026-01-01T01:00:00Z");
  assert.equal(latest(9, 10, null, {}, ""), 10);
  assert.equal(latest("b", "a"), "b");
  assert.equal(latest("9", "10", 9, "9007199254740995", "9007199254740993"), "9007199254740995");
  assert.equal(
    latest("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123789Z"),
    "2026-01-01T00:00:00.123789Z",
  );
  assert.equal(
    latest("2026-01-01T00:00:00.1237Z", "2026-01-01T00:00:00.123700Z"),
    "2026-01-01T00:00:00.1237Z",
  );
  assert.equal(latest("2026-01-01 02:00+0200", "2026-01-01T00:00:01Z", "2026-01-01"), "2026-01-01T00:00:01Z");
  assert.equal(shifted("2026-01-01T00:00:00Z", -1_000), "2025-12-31T23:59:59Z");
  assert.equal(shifted("2026-01-01T00:00:00.250Z", -1_000), "2025-12-31T23:59:59.250Z");
  assert.equal(shifted("2026-01-02", -86_400_000), "2026-01-01");
  assert.equal(shifted("2026-01-01T00:30:00+02:00", -3_600_000), "2025-12-31T23:30:00+02:00");
  assert.equal(shifted("2026-01-01 00:30", -3_600_000), "2025-12-31 23:30");
  assert.equal(shifted("2026-01-01T00:00:00.123456-0330", 1_000), "2026-01-01T00:00:01.123000-0330");
  assert.equal(shifted(1_700_000_000, -60_000), 1_699_999_940);
  assert.equal(shifted(1_700_000_000_000, -60_000), 1_699_999_940_000);
  assert.deepEqual((["30s", "5m", "1h", "2d"] as const).map(durationMs), [
    30_000,
    300_000,
    3_600_000,
    172_800_000,
  ]);
});

Deno.test("a record that changes while it is read, and one that was skipped as others moved up, are requested by the next run", async () => {
  const n = (id: number, at: number) => ({ id, at });
  const all = Array.from({ length: 25 }, (_, i) => n(i + 1, i + 1));
  await using source = await startPaged(({ url: { searchParams: query } }) => {
    const since = Number(query.get("since"));
    const skip = Number(query.get("skip"));
    const page = all.filter(({ at }) => at >= since).sort((a, b) => a.at - b.at).slice(skip, skip + 10);
    if (skip === 0 && all[2]!.at === 3) all[2] = n(3, 26); // sorts last from now on; the records behind it move up, so no page has 11
    return Response.json({ items: page });
  });
  const numbers: Omit<AnySource, "url"> = {
    records: "items",
    paging: { by: "offset", offset: "skip", limit: "limit", size: 10 },
    since: { field: "at", from: 0, send: { since: "{}" } },
  };
  const first = await source.extract(numbers);
  assert.ok(!ids(first.lines).includes(11) && first.lines.includes('{"id":3,"at":3}'));
  const second = await source.extract(numbers);
  assert.deepEqual(ids(second.lines), [1, 2, ...Array.from({ length: 22 }, (_, i) => i + 4), 3]);
  assert.ok(second.lines.includes('{"id":3,"at":26}'));
  assert.deepEqual(ids((await source.extract(numbers)).lines), [3]);
});

Deno.test("a run that lacks announced records moves nothing, so that the next one requests them", async () => {
  const changes = Array.from({ length: 25 }, (_, i) => change(i + 1, `2026-02-01T00:00:${String(i + 10)}Z`));
  let isHidden = true;
  await using source = await startPaged(({ url: { searchParams: query } }) => {
    const all = changes.filter(({ at }) => at >= query.get("since")!);
    const shown = isHidden ? all.map((one) => one.id === 11 ? changes[9]! : one) : all;
    const skip = Number(query.get("skip"));
    return Response.json({ items: shown.slice(skip, skip + 10), total: all.length });
  });
  const first = await source.extract(SOURCE);
  assert.deepEqual([first.lines.length, (first.detail as { missing: number }).missing], [24, 1]);
  isHidden = false;
  assert.equal((await source.extract(SOURCE)).lines.length, 25);
  assert.deepEqual(ids((await source.extract(SOURCE)).lines), [25]);
});

Deno.test("of several versions of a record on one page the latest is taken, and a repeated record doesn't block progress", async () => {
  const n = (id: number, at: number) => ({ id, at });
  const all = [n(1, 1), n(2, 9), n(1, 5), n(1, 5), n(3, 7), n(3, 6), n(4, 8), n(4, 8)];
  for (
    const paging of [
      { by: "none" },
      { by: "offset", offset: "skip", limit: "limit", size: 10 },
    ] as AnySource["paging"][]
  ) {
    await using source = await startPaged(({ url: { searchParams: query } }) =>
      Response.json({
        items: query.get("skip") === "8" ? [] : all.filter(({ at }) => at >= Number(query.get("since"))),
      })
    );
    const numbers = { records: "items", paging, since: { field: "at", from: 0, send: { since: "{}" } } };
    const { lines } = await source.extract(numbers);
    assert.deepEqual(lines.map((line) => JSON.parse(line)), [n(1, 1), n(2, 9), n(1, 5), n(3, 7), n(4, 8)]);
    assert.match(source.requested.at(-1)!, /since=0/);
    await source.extract(numbers).catch(() => {});
    assert.ok(source.requested.some((path) => path.includes("since=9")), source.requested.join(" "));
  }
});

Deno.test("a value that is no time, or far in the future, doesn't hide later changes", async () => {
  const times = { from: "2026-01-01T00:00:00Z", good: "2026-02-01T00:00:00Z", later: "2026-03-01T00:00:00Z" };
  const seconds = { from: 1_700_000_000, good: 1_700_000_100, later: 1_795_489_300 };
  const cases: [
    moments: { from: string | number; good: string | number; later: string | number },
    bad: unknown,
  ][] = [
    [times, "Invalid date"],
    [times, "2026-13-01T00:00:00Z"],
    [times, "31/12/2025"],
    [seconds, 4_102_444_800],
    [seconds, 1_700_000_100_000], // milliseconds among seconds
    [seconds, "n/a"],
    [{ from: 2_900_000_000, good: 2_900_000_100, later: 2_900_000_200 }, 2_900_000_000], // versions, not seconds
    [{ from: "20260101000000", good: "20260201000000", later: "20260301000000" }, "20260101000000"],
    [
      { from: "2026-01-01", good: "2026-02-01 10:00:00 UTC", later: "2026-03-01 10:00:00 UTC" },
      "2026-01-15 10:00:00 UTC",
    ],
    [{ from: "1700000000", good: "1700000100", later: "1795489300" }, "4102444800"],
  ];
  for (const [{ from, good, later }, bad] of cases) {
    const all: unknown[][] = [[1, good], [2, bad]];
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const since = query.get("since")!;
      const items = all.filter(([, at]) => String(at) >= since).map(([id, at]) => ({ id, at }));
      return Response.json({ items });
    });
    const changes: Omit<AnySource, "url"> = {
      records: "items",
      paging: { by: "none" },
      since: { field: "at", from, send: { since: "{}" } },
    };
    assert.deepEqual(ids((await source.extract(changes)).lines), [1, 2]);
    all.push([3, later]);
    const second = await source.extract(changes);
    assert.ok(ids(second.lines).includes(3), `${bad} hides ${later}`);
    assert.ok(
      !ids(second.lines).includes(2) || String(bad) > String(good),
      `${good} doesn't move the cursor`,
    );
  }
});

Deno.test("a record that was skipped as others moved up is requested by the next run too where links and cursors count pages", async () => {
  const n = (id: number, at: number) => ({ id, at });
  const pagings: AnySource["paging"][] = [
    { by: "link-header" },
    { by: "link", next: "next" },
    { by: "cursor", param: "page", next: "next_page" },
    { by: "cursor", param: "skip", next: "next_skip" },
  ];
  for (const paging of pagings) {
    const all = Array.from({ length: 25 }, (_, i) => n(i + 1, i + 1));
    await using source = await startPaged(({ url: { searchParams: query } }) => {
      const since = Number(query.get("since") ?? 0);
      const number = Number(query.get("page") ?? Number(query.get("skip") ?? 0) / 10 + 1);
      const changed = all.filter(({ at }) => at >= since).sort((a, b) => a.at - b.at);
      const items = changed.slice(10 * (number - 1), 10 * number);
      if (number === 1 && all[2]!.at === 3) all[2] = n(3, 26);
      const isLast = 10 * number >= changed.length;
      const next = isLast ? null : `/things?per_page=10&since=${since}&page=${number + 1}`;
      const counts = isLast ? {} : { next_page: number + 1, next_skip: 10 * number };
      return Response.json(
        { items, next, ...counts },
        isLast ? {} : { headers: { link: `<${next}>; rel="next"` } },
      );
    });
    const numbers = { records: "items", paging, since: { field: "at", from: 0, send: { since: "{}" } } };
    const first = await source.extract(numbers);
    assert.ok(!ids(first.lines).includes(11), paging.by);
    assert.ok(ids((await source.extract(numbers)).lines).includes(11), paging.by);
  }
});
