/**
 * Detects the paging of a source: tries what its first page suggests, and accepts it only if the next records follow.
 */
import { linksIn } from "../../extractor/paging/link_header.ts";
import type { AnyPaging } from "../../extractor/paging/mod.ts";
import type { At } from "../../shared/pipeline/mod.ts";
import type { JsonObject } from "../../shared/pipeline/problems.ts";
import type { Answer, Leaf, SourceProbe } from "./new_ask.ts";
import { endOf, type PagedList, type Query, shortening } from "./new_end.ts";
import { cutIn, isTotal, moreIn, pagesIn, totalIn, totalInBody } from "./new_says.ts";

export interface PagingFound {
  /** Undefined without proof of any paging style. */
  readonly paging: AnyPaging | undefined;
  readonly empty?: readonly number[];
  /** Questions for a person. */
  readonly doubts: readonly string[];
}

const CURSOR = /cursor|token|continuation|marker|after|bookmark|scroll|^next|^offset$/i;

const SIZES = [
  "limit",
  "per_page",
  "page_size",
  "pageSize",
  "maxResults",
  "$top",
  "top",
  "rows",
  "size",
  "count",
  "take",
  "page[size]",
  "page[limit]",
  "perPage",
];
const OFFSETS = ["offset", "skip", "startAt", "start", "$skip", "from", "page[offset]", "first_result"];
const PAGE_PARAMS = ["page", "p", "page_number", "pageNumber", "page[number]", "pageNo", "currentPage", "pg"];
const CURSORS = [
  ..."cursor start_cursor page_token pageToken next_token nextToken next_cursor after starting_after continuation"
    .split(" "),
  ..."continuationToken marker page[after] page[cursor] bookmark next offset scroll_id position page".split(
    " ",
  ),
];
const LASTS = [
  "starting_after",
  "after",
  "after_id",
  "last_id",
  "since_id",
  "from_id",
  "startAfter",
  "page[after]",
];

const MOST_CURSORS = 3;

/** An answer with a multiple of one of them may be a page. */
const PAGE_LENGTHS = [5, 8, 12];

/** `keyOf` distinguishes records. */
export async function findPaging(
  probe: SourceProbe,
  first: Answer,
  keyOf: (record: JsonObject) => string,
): Promise<PagingFound> {
  const finder = new Finder(probe, first, keyOf);
  const announced = await finder.announced(first, {});
  if (announced !== undefined) return announced;
  // a list on one page shows its paging only in smaller pages
  const [size, small] = await finder.findSize();
  return (small === undefined ? undefined : await finder.announced(small, { [size!]: "1" })) ??
    await finder.starCursor(size) ??
    await finder.last(size) ??
    await finder.offset(size) ??
    await finder.page(size) ??
    finder.nothing(size);
}

class Finder {
  constructor(
    private readonly probe: SourceProbe,
    private readonly first: Answer,
    private readonly keyOf: (record: JsonObject) => string,
  ) {}

  /** The parameter that requests fewer records, and the answer with one record. */
  async findSize(): Promise<[param: string, small: Answer] | []> {
    if (this.first.records.length < 2) return [];
    for (const param of this.#hinted(SIZES)) {
      const answer = await this.probe.ask({ [param]: "1" });
      if (answer.records.length === 1 && this.#is(answer, 0)) return [param, answer];
    }
    return [];
  }

  /** The next page as the answer announces it: a link or a cursor. */
  async announced(answer: Answer, query: Query): Promise<PagingFound | undefined> {
    const skip = answer.records.length;
    const header = answer.headers.get("link");
    const rels = header === null ? [] : linksIn(header) ?? [];
    const isOwn = (target: string) => URL.parse(target, answer.address)?.origin === answer.address.origin;
    for (const { target } of rels.filter(({ rels }) => rels.includes("next"))) {
      const next = await this.#leadsOn(target, answer);
      if (next !== undefined) {
        return { paging: { by: "link-header", ...this.#totalOf(answer, next) }, doubts: [] };
      }
      if (!isOwn(target)) return this.#foreign(target);
    }
    const named = answer.leaves.filter(({ value }) => value !== null && value !== "" && value !== false);
    for (const { place, value } of named.filter(({ place }) => /next/i.test(place))) {
      if (typeof value !== "string" || !/^(https?:\/\/|\/|\?)/.test(value)) continue;
      const next = await this.#leadsOn(value, answer);
      if (next !== undefined) {
        return { paging: { by: "link", next: place, ...this.#totalOf(answer, next) }, doubts: [] };
      }
      if (!isOwn(value)) return this.#foreign(value);
    }
    const more = moreIn(answer);
    for (const { place, key, value } of named.filter(isCursor).slice(0, MOST_CURSORS)) {
      const own = [key, key.replace(/^next[-_]?/i, "").replace(/^./, (letter) => letter.toLowerCase())];
      for (const param of new Set([...own.filter((name) => name !== ""), ...CURSORS])) {
        const next = await this.probe.ask({ ...query, [param]: String(value) });
        if (!this.#follows(next, answer, skip)) continue;
        return { paging: { by: "cursor", param, next: place, ...more && { more } }, doubts: [] };
      }
    }
  }

  /** A cursor that the first request must ask for. */
  async starCursor(size: string | undefined): Promise<PagingFound | undefined> {
    const query: Query = size === undefined ? {} : { [size]: "1" };
    const known = new Set(this.first.leaves.map(({ place }) => place));
    for (const param of ["cursor", "cursorMark"]) {
      const answer = await this.probe.ask({ ...query, [param]: "*" });
      if (!this.#is(answer, 0)) continue;
      for (
        const { place, value } of answer.leaves.filter(isCursor).filter(({ place }) => !known.has(place))
      ) {
        const next = await this.probe.ask({ ...query, [param]: String(value) });
        if (!this.#follows(next, answer, answer.records.length)) continue;
        const total = totalIn(answer)?.place;
        return {
          paging: { by: "cursor", param, first: "*", next: place, ...total !== undefined && { total } },
          doubts: total === undefined
            ? ["Does the source name no next cursor at its end? If it always does, name its total."]
            : [],
        };
      }
    }
  }

  /** The last record's key requests the next page. */
  async last(size: string | undefined): Promise<PagingFound | undefined> {
    const [one, two] = this.first.records;
    const field = one === undefined ? undefined : this.#field(one);
    if (two === undefined || field === undefined) return;
    const more = moreIn(this.first) ??
      moreIn(await this.probe.ask(size === undefined ? {} : { [size]: "1" }));
    for (const param of LASTS) {
      const answer = await this.probe.ask({ [param]: String(one![field]) });
      // the second record must follow the first one
      if (!this.#is(answer, 1)) continue;
      const total = this.#totalOf(this.first, answer);
      return { paging: { by: "last", param, field, ...more && { more }, ...total } as AnyPaging, doubts: [] };
    }
  }

  async offset(limit: string | undefined): Promise<PagingFound | undefined> {
    if (limit === undefined) return;
    for (const offset of this.#hinted(OFFSETS)) {
      if (!this.#is(await this.probe.ask({ [limit]: "1", [offset]: "1" }), 1)) continue;
      const list: PagedList = {
        ask: (query) => this.probe.ask(query),
        requests: `${offset} requests records`,
        step: 1,
        page: (index) => ({ [limit]: "1", [offset]: `${index}` }),
        tail: (total) => ({ query: { [limit]: "2", [offset]: `${total - 1}` }, room: 2, length: 1 }),
      };
      const { total, empty, doubts } = await endOf(list, { total: totalIn(this.first) });
      const size = await this.#pageSize(limit);
      const paging = { by: "offset", offset, limit, size, ...total !== undefined && { total } } as const;
      return { paging, ...empty && { empty }, doubts };
    }
  }

  async page(size: string | undefined): Promise<PagingFound | undefined> {
    const query: Query = size === undefined ? {} : { [size]: "1" };
    const step = size === undefined ? this.first.records.length : 1;
    const at = (param: string, page: number) => this.probe.ask({ ...query, [param]: `${page}` });
    for (const param of this.#hinted(PAGE_PARAMS)) {
      const one = await at(param, 1);
      const first = this.#is(one, 0) ? 1 : this.#is(await at(param, 0), 0) ? 0 : undefined;
      if (first === undefined) continue;
      const second = first === 0 ? one : await at(param, 2);
      if (!this.#follows(second, this.first, step)) continue;
      const list: PagedList = {
        ask: (query) => this.probe.ask(query),
        requests: `${param} requests a page`,
        step,
        page: (index) => ({ ...query, [param]: `${first + index}` }),
        ...size !== undefined && {
          tail(total) {
            const room = shortening(total);
            const page = first + Math.ceil(total / room) - 1;
            return { query: { [size]: `${room}`, [param]: `${page}` }, room, length: total % room };
          },
        },
      };
      const total = totalIn(second);
      const isOfPage = total?.count === second.records.length;
      const { empty, doubts, ...announced } = await endOf(list, {
        total: isOfPage ? undefined : total,
        pages: pagesIn(second),
      });
      return {
        paging: {
          by: "page",
          page: param,
          ...first === 0 && { first },
          ...size !== undefined && { size: [size, await this.#pageSize(size)] as const },
          ...announced,
        } as AnyPaging,
        ...empty && { empty },
        doubts,
      };
    }
  }

  /** No paging was found. A source that says that it has no more is believed; a full page proves nothing. */
  nothing(size: string | undefined): PagingFound {
    const { length } = this.first.records;
    const total = totalIn(this.first);
    const isWhole = total?.count === length && typeof total.place === "string" && isTotal(total.place);
    const cut = cutIn(this.first) ??
      (size !== undefined && !isWhole ? `${size} shortens the list` : undefined);
    const isFull = length < 2 || PAGE_LENGTHS.some((typical) => length % typical === 0);
    if (cut === undefined && (isWhole || !isFull)) {
      return {
        paging: { by: "none", ...total !== undefined && { total: total.place } },
        doubts: isWhole && !isFull
          ? []
          : [`Nothing that was tried gave other records than these ${length}. Are these all records?`],
      };
    }
    const what = `o way to more than the first ${length} records was found`;
    return {
      paging: undefined,
      doubts: [
        `${cut === undefined ? "N" : `${cut}, but n`}${what}. Look for it in the source's documentation.`,
      ],
    };
  }

  /** The names to try; those that the answer or the address contain are first. */
  #hinted(names: readonly string[]): string[] {
    const named = new Set([
      ...this.first.leaves.map(({ key }) => key),
      ...this.first.address.searchParams.keys(),
    ]);
    return [...names.filter((name) => named.has(name)), ...names.filter((name) => !named.has(name))];
  }

  /** Whether the answer begins with the record at `index` of the first page. */
  #is(answer: Answer, index: number): boolean {
    const [record] = answer.records;
    const wanted = this.first.records[index];
    return record !== undefined && wanted !== undefined && this.keyOf(record) === this.keyOf(wanted);
  }

  /**
   * Whether `next` contains the records after those of `answer`: those of the first page, if it has them, else
   * different ones.
   */
  #follows(next: Answer, answer: Answer, skip: number): boolean {
    if (next.records.length === 0) return false;
    if (skip < this.first.records.length) return this.#is(next, skip);
    const known = new Set([...this.first.records, ...answer.records].map(this.keyOf));
    return next.records.every((record) => !known.has(this.keyOf(record)));
  }

  /** The answer at the link, if it holds the next records. */
  async #leadsOn(target: string, answer: Answer): Promise<Answer | undefined> {
    const link = URL.parse(target, answer.address);
    if (link === null || link.origin !== answer.address.origin) return;
    const next = await this.probe.follow(link);
    return this.#follows(next, answer, answer.records.length) ? next : undefined;
  }

  /**
   * The place of the total in the body, if two successive pages announce the same one, and it isn't the number of their
   * records. A header isn't relied on: GitLab leaves it out once a list is long. A cursor would end at the total, which
   * some sources cap.
   */
  #totalOf(answer: Answer, next: Answer): { total?: At } {
    const [total, again] = [totalInBody(answer), totalInBody(next)];
    const isSame = total !== undefined && total.place === again?.place && total.count === again.count;
    const isMore = isSame && total.count > Math.max(answer.records.length, next.records.length);
    return isMore ? { total: total.place } : {};
  }

  #foreign(target: string): PagingFound {
    const origin = URL.parse(target, this.first.address)?.origin;
    return {
      paging: undefined,
      doubts: [`The next page's link leads to ${origin}. If that belongs to the source, name it in origins.`],
    };
  }

  /** The top-level field that identifies a record. */
  #field(record: JsonObject): string | undefined {
    return Object.keys(record).find((key) => String(record[key]) === this.keyOf(record));
  }

  /** A hundred records per page, if the source sends more than its default. */
  async #pageSize(param: string): Promise<number> {
    const { length } = this.first.records;
    const requested = Number(this.first.address.searchParams.get(param));
    if (requested > 0) return requested;
    return (await this.probe.ask({ [param]: "100" })).records.length > length ? 100 : length;
  }
}

function isCursor({ key, place, value }: Leaf): boolean {
  if (/prev|before/i.test(place) || !CURSOR.test(key)) return false;
  return typeof value === "string" && value !== "" && !/^https?:/.test(value) ||
    typeof value === "number" && /next|after/i.test(place);
}
