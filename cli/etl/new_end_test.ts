import assert from "node:assert/strict";
import { draftRows, extracted, json, loaded, number, serve } from "../../tests/support/drafts.ts";
import { RECORDS, type Replica, rows } from "../../tests/support/replicas.ts";

interface Source {
  readonly replica: Replica;
  /** Undefined if the definition can't be used. */
  readonly by?: string;
  readonly records?: number;
  /** A doubt of the definition. */
  readonly says: RegExp;
  readonly has?: RegExp;
}

const listed = (length: number) => Array.from({ length }, (_, at) => ({ id: at + 1, name: `Row ${at}` }));

interface List {
  /** The number of its records. */
  readonly of?: number;
  /** Records per page; without a parameter for it if `fixed`. */
  readonly size?: number;
  readonly fixed?: boolean;
  /** The answer's other members, for a page of `size` records. */
  readonly and?: (size: number) => Record<string, unknown>;
  /** The answer to a page without records; undefined: an empty list. */
  readonly beyond?: number;
  /** The last page that is given. */
  readonly most?: number;
}

const itemsOf = (items: unknown[], size: number, { and, beyond }: List) => {
  if (items.length > 0 || beyond === undefined) return json({ ...and?.(size), items });
  return beyond === 204 ? new Response(null, { status: 204 }) : json({ detail: "none" }, beyond);
};

/** Takes `page`, and `per_page`. */
const paged = (list: List): Replica => ({ url }) => {
  const page = number(url, "page", 1);
  const size = list.fixed ? list.size ?? 20 : number(url, "per_page", list.size ?? 20);
  const isThere = page <= (list.most ?? Infinity);
  return itemsOf(isThere ? listed(list.of ?? RECORDS).slice((page - 1) * size, page * size) : [], size, list);
};

/** Takes `offset` and `limit`. */
const skipped = (list: List): Replica => ({ url }) => {
  const skip = number(url, "offset", 0), size = number(url, "limit", list.size ?? 20);
  return itemsOf(listed(list.of ?? RECORDS).slice(skip, skip + size), size, list);
};

/** One answer, whatever is asked; `limit` shortens it. */
const cut =
  (length: number, and: Record<string, unknown> = {}, { limit = false } = {}): Replica => ({ url }) =>
    json({ ...and, items: listed(length).slice(0, limit ? number(url, "limit", length) : length) });

function test(name: string, sources: Record<string, Source>) {
  Deno.test(name, async (t) => {
    for (const [what, { replica, by, says, has, records = RECORDS }] of Object.entries(sources)) {
      await t.step(what, async () => {
        await using source = serve(replica);
        const drafted = await draftRows(source);
        assert.equal(drafted.paging?.by, by, drafted.doubts.join());
        assert.match(drafted.doubts.join("\n"), says);
        assert.equal(drafted.isUsable, by !== undefined);
        assert.ok(drafted.requests <= 60, `${drafted.requests} requests`);
        if (has !== undefined) assert.match(drafted.text, has);
        const { plan, problems } = await loaded(drafted);
        if (by === undefined) assert.match(problems.join(), /source\.paging/);
        else assert.deepEqual(await extracted(plan!), { records, bad: [] });
      });
    }
  });
}

const total = (total: number) => () => ({ total });
const pages = (of: number, most = Infinity) => (size: number) => ({
  total_pages: Math.min(most, Math.ceil(of / size)),
});

test("a source that announces more than can be read makes the definition unusable", {
  "records by offset": {
    replica: skipped({ of: 200, and: total(400) }),
    says: /^total says 400, but limit=2&offset=399 holds no records/m,
  },
  "records by page, with an empty page beyond": {
    replica: paged({ of: 200, and: total(400) }),
    says: /^total says 400, but per_page=3&page=134 holds no records/m,
  },
  "records by page, with 404 beyond": {
    replica: paged({ of: 200, and: total(400), beyond: 404 }),
    says: /^total says 400, but per_page=3&page=134 answers HTTP 404/m,
  },
  "records by page of a fixed length, with an empty page beyond": {
    replica: paged({ of: 200, and: total(400), fixed: true }),
    says: /^total says 400, but page=20 holds no records/m,
  },
  "records by page of a fixed length, with 404 beyond": {
    replica: paged({ of: 200, and: total(400), fixed: true, beyond: 404 }),
    says: /^total says 400, but page=20 answers HTTP 404/m,
  },
  "a few records too many": {
    replica: paged({ of: 57, and: total(59), fixed: true }),
    says: /^total says 59, but page=3 holds 17 records, and not 19/m,
  },
  "pages, fewer than a page has records": {
    replica: paged({ of: 200, and: () => ({ total_pages: 15 }), fixed: true }),
    says: /^total_pages says 15, but page=15 holds no records/m,
  },
  "records, and as many pages as can be read": {
    replica: paged({ of: 200, and: (size) => ({ total: 400, total_pages: Math.ceil(200 / size) }) }),
    says: /^total says 400, but/m,
  },
  "records, beside the page's count": {
    replica: skipped({ of: 200, and: (size) => ({ count: size, total: 400 }) }),
    says: /^total says 400, but/m,
  },
  "records, beside the page's total": {
    replica: skipped({ of: 200, and: (size) => ({ total: size, total_count: 400 }) }),
    says: /^total_count says 400, but/m,
  },
  "records as a text": {
    replica: skipped({ of: 200, and: () => ({ total: "400" }) }),
    says: /^total says 400, but/m,
  },
  "records in a header, beside the page's count": {
    replica: ({ url }) => {
      const skip = number(url, "offset", 0), size = number(url, "limit", 20);
      const items = listed(200).slice(skip, skip + size);
      return Response.json({ count: items.length, items }, { headers: { "x-total-count": "400" } });
    },
    says: /^x-total-count says 400, but/m,
  },
});

test("a refusal, or a number that depends on the page's size, is no end", {
  "a number of pages that is capped, and 422 beyond": {
    replica: paged({ of: 400, and: pages(400, 10), most: 10, beyond: 422 }),
    says: /^total_pages says 10, but per_page=3&page=4 holds 3 records, and not 1/m,
  },
  "a number of pages that is capped, and 400 beyond, with a fixed length": {
    replica: paged({ of: 400, size: 19, and: pages(400, 9), most: 9, beyond: 400, fixed: true }),
    says: /^total_pages says 9, but page=10 answers HTTP 400/m,
  },
  "a number of pages that is capped, and an empty page beyond": {
    replica: paged({ of: 400, and: pages(400, 10), most: 10 }),
    says: /^total_pages says 10, but per_page=3&page=4 holds 3 records, and not 1/m,
  },
  "a number of pages that is capped, and 500 beyond": {
    replica: paged({ of: 57, and: pages(57), beyond: 500 }),
    says: /^total_pages says 57, but per_page=1&page=58 answers HTTP 500/m,
  },
  "a total at which the list is cut, and 400 beyond": {
    replica: skipped({ of: 1_000, and: total(1_000), beyond: 400 }),
    says: /^total says 1000, but limit=1&offset=1000 answers HTTP 400/m,
  },
  "a total that is capped, and 400 for any place beyond": {
    replica: ({ url }) => {
      const skip = number(url, "offset", 0), size = number(url, "limit", 20);
      const items = listed(400).slice(skip, skip + size);
      return skip >= 200 ? json({}, 400) : json({ total: 200, items });
    },
    says: /^total says 200, but limit=2&offset=199 holds 2 records, and not 1/m,
  },
  "a total that is too low, and the last page again and again": {
    replica: ({ url }) => {
      const skip = Math.min(number(url, "offset", 0), 56), size = number(url, "limit", 20);
      return json({ total: 40, items: rows.slice(skip, skip + size) });
    },
    says: /^offset requests records, but nothing shows .*offset=1000000000 holds 1 record/m,
  },
  "no total, and 400 beyond": {
    replica: skipped({ beyond: 400 }),
    says: /^offset requests records, but nothing shows .*offset=1000000000 answers HTTP 400/m,
  },
  "no number of pages, and 422 beyond": {
    replica: paged({ beyond: 422 }),
    says: /^page requests a page, but nothing shows .*page=1000000001 answers HTTP 422/m,
  },
  "no list beyond": {
    replica: ({ url }) => {
      const skip = number(url, "offset", 0);
      return skip > 57 ? json({ error: "too far" }) : skipped({})({ url, headers: new Headers() });
    },
    says: /^offset requests records, but nothing shows .*offset=1000000000 holds no list/m,
  },
  "a total, and a refusal after the last page, which is short": {
    replica: skipped({ and: total(RECORDS), beyond: 400 }),
    by: "offset",
    says: /^$/,
    has: /total: "total"/,
  },
  "a total, and 416 after it": {
    replica: skipped({ of: 60, and: total(60), beyond: 416 }),
    by: "offset",
    records: 60,
    says: /^$/,
    has: /total: "total"/,
  },
  "a number of pages of a fixed length, and a refusal after the last page, which is short": {
    replica: paged({ and: pages(RECORDS), beyond: 400, fixed: true }),
    by: "page",
    says: /^$/,
    has: /pages: "total_pages"/,
  },
});

test("a number that isn't that of all records is left out where an empty page is the end", {
  "a total by offset": {
    replica: skipped({ and: total(40) }),
    by: "offset",
    says: /^total says 40, but there are more; it was left out\.$/,
  },
  "a total within the last page of a fixed length": {
    replica: paged({ and: total(45), fixed: true }),
    by: "page",
    says: /^total says 45, but there are more; it was left out\.$/,
  },
  "a number of pages, beside an exact total": {
    replica: paged({ and: () => ({ total_pages: 3, total: RECORDS }) }),
    by: "page",
    says: /^total_pages says 3, but there are more; it was left out\.$/,
    has: /total: "total"/,
  },
  "a count of something else, beside an exact total": {
    replica: skipped({ and: () => ({ count: 400, total: RECORDS }) }),
    by: "offset",
    says: /^$/,
    has: /total: "total"/,
  },
  "the page's count": {
    replica: paged({ and: (size) => ({ count: size }) }),
    by: "page",
    says: /^$/,
  },
});

test("a status that means an empty list is named, and 404 is a doubt that leaves the definition usable", {
  "404 after the last page": {
    replica: paged({ beyond: 404 }),
    by: "page",
    says: /^HTTP 404 counts as the end, at the first page too: if the address moves, the list looks empty/m,
    has: /NOT SURE: HTTP 404 counts[\s\S]*empty: \[404\]/,
  },
  "404 after the last record": {
    replica: skipped({ beyond: 404 }),
    by: "offset",
    says: /^HTTP 404 counts as the end/m,
    has: /empty: \[404\]/,
  },
  "204 after the last page": {
    replica: paged({ beyond: 204 }),
    by: "page",
    says: /^$/,
    has: /empty: \[204\]/,
  },
  "404 after the number of pages": {
    replica: paged({ and: pages(RECORDS), beyond: 404 }),
    by: "page",
    says: /^$/,
    has: /pages: "total_pages" \},\n(?!\s*empty)/,
  },
});

const isLast = Object.fromEntries(
  ["isLast", "last", "done", "is_last_page", "end_of_stream", "complete", "lastPage", "endOfResults"].map((
    flag,
  ) => [
    `${flag} false`,
    { replica: cut(57, { [flag]: false }), says: new RegExp(`^${flag} is false, but no way to more`, "m") },
  ]),
);
const lengths = Object.fromEntries(
  [24, 64, 36, 48, 50].map((length) => [
    `${length} records`,
    { replica: cut(length), says: new RegExp(`^No way to more than the first ${length} records`, "m") },
  ]),
);

test("one answer that may be cut makes the definition unusable", {
  ...isLast,
  ...lengths,
  "a parameter shortens it": {
    replica: cut(57, {}, { limit: true }),
    says: /^limit shortens the list, but no way to more than the first 57 records/m,
  },
  "a parameter shortens it, and the page's count": {
    replica: cut(57, { resultCount: 57 }, { limit: true }),
    says: /^limit shortens the list, but/m,
  },
  "the page's count": {
    replica: cut(50, { resultCount: 50 }),
    says: /^No way to more than the first 50 records/m,
  },
  "the page's count, and a greater total": {
    replica: cut(57, { count: 57, total: 400 }),
    says: /^total says 400, but no way to more/m,
  },
  "a number of pages": {
    replica: cut(57, { total_pages: 3 }),
    says: /^total_pages says 3, but no way to more/m,
  },
  "a next page that nothing leads to": {
    replica: cut(57, { paging: { next: { key: "x" } } }),
    says: /^paging\.next\.key names a next page, but no way to more/m,
  },
  "a flag that it is truncated": {
    replica: cut(57, { IsTruncated: true }),
    says: /^IsTruncated is true, but no way to more/m,
  },
  "a parameter shortens it, and the total is its length": {
    replica: cut(57, { total: 57 }, { limit: true }),
    by: "none",
    says: /^$/,
    has: /total: "total"/,
  },
  "flags that it is the end": {
    replica: cut(57, { isLast: true, done: true, next: null, has_more: false, total_pages: 1 }),
    by: "none",
    says: /^Nothing that was tried gave other records than these 57/m,
  },
});
