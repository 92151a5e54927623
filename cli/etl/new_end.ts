/** Where a source ends. An announced number is used only if the list ends exactly there. */
import { isPageStatus } from "../../extractor/paging/style.ts";
import type { At } from "../../shared/pipeline/mod.ts";
import { type Answer, Unclear } from "./new_ask.ts";
import { type Counted, says } from "./new_says.ts";

export type Query = Readonly<Record<string, string>>;

/** A list that is requested page by page; pages are counted from 0. */
export interface PagedList {
  ask(query: Query): Promise<Answer>;
  /** Its parameter, and what that requests. */
  readonly requests: string;
  /** The number of records on each page. */
  readonly step: number;
  page(index: number): Query;
  /** Requests the last of `total` records, on a page with space for more. Undefined if the size can't be chosen. */
  readonly tail?: (total: number) => Tail;
}

interface Tail {
  readonly query: Query;
  /** Number of records that the page can hold. */
  readonly room: number;
  /** Number of records that it should hold. Undefined if any number will do. */
  readonly length?: number;
}

export interface End {
  /** The places of the numbers that are exact. */
  readonly total?: At;
  readonly pages?: At;
  readonly empty?: readonly number[];
  readonly doubts: readonly string[];
}

const FAR = 1_000_000_000;
/** They mean an empty list. */
const NOTHING = [204, 404];
/** They may mean that a place is beyond the end, or beyond a limit of the source. */
const REFUSALS = [400, 416, 422];

/** @throws Unclear if the source ends elsewhere than it announces, or nothing shows its end. */
export async function endOf(
  list: PagedList,
  { total, pages }: { total: Counted | undefined; pages?: Counted | undefined },
): Promise<End> {
  const isTotal = total !== undefined && await endsAt(list, total, total.count);
  const isSame = isTotal && Math.ceil(total.count / list.step) === pages?.count;
  const isPages = pages !== undefined &&
    (isSame || await endsAt(list, pages, list.step === 1 ? pages.count : undefined));
  const left = [...total && !isTotal ? [total] : [], ...pages && !isPages ? [pages] : []];
  const doubts = left.map((number) => `${says(number)}, but there are more; it was left out.`);
  if (isPages || isTotal) return { ...isPages ? { pages: pages.place } : { total: total!.place }, doubts };
  const end = await emptyEnd(list);
  return { ...end, doubts: [...doubts, ...end.doubts] };
}

/**
 * Whether the list ends at the announced number; false if there are more records. `total` is the number of records, if
 * that is known.
 *
 * @throws Unclear if the end comes before, or isn't certain
 */
async function endsAt(list: PagedList, announced: Counted, total: number | undefined): Promise<boolean> {
  const wrong = (query: Query, answer: Answer, wanted?: number) =>
    new Unclear(
      `${says(announced)}, but ${shownQuery(query)} ${shown(answer)}${
        wanted === undefined ? "" : `, and not ${wanted}`
      }. Can the list be read to its end? It may have to be requested in parts, such as by date.`,
    );
  const pages = total === undefined ? announced.count : Math.ceil(total / list.step);
  const { query, room, length } = tailOf(list, pages, total);
  const last = await list.ask(query);
  const found = last.records.length;
  if (found === 0) throw wrong(query, last);
  if (length !== undefined && found < length) throw wrong(query, last, length);
  const next = list.page(pages);
  const beyond = await list.ask(next);
  if (beyond.records.length > 0) return false;
  if (length !== undefined && found > length) {
    if (list.tail === undefined) return false;
    throw wrong(query, last, length); // the end depends on the page's size
  }
  const isShort = found < room;
  if (!isBeyond(beyond, isShort, total ?? (pages - 1) * list.step + found)) throw wrong(next, beyond);
  return true;
}

function tailOf({ step, page, tail }: PagedList, pages: number, total: number | undefined): Tail {
  const query = page(pages - 1);
  if (total === undefined) return { query, room: step };
  return tail?.(total) ?? { query, room: step, length: total - (pages - 1) * step };
}

/**
 * Whether the answer is one beyond the end. A refusal is one only if the last page had space for more records, and
 * their number isn't a round one, as limits are.
 */
function isBeyond({ status, body, list }: Answer, isShort: boolean, total: number): boolean {
  if (NOTHING.includes(status)) return true;
  if (isPageStatus(status) && list !== undefined) return list === null || isEmpty(list);
  const isRefusal = isPageStatus(status) ? body !== undefined : REFUSALS.includes(status);
  return isRefusal && isShort && (status === 416 || total % 10 !== 0);
}

/** The end of a source that doesn't announce it. @throws Unclear */
async function emptyEnd(list: PagedList): Promise<End> {
  const query = list.page(FAR);
  const answer = await list.ask(query);
  const { status } = answer;
  if (NOTHING.includes(status)) {
    return {
      empty: [status],
      doubts: status === 404
        ? [
          "HTTP 404 counts as the end, at the first page too: if the address moves, the list looks empty. " +
          "Name the total or the number of pages, if the source has one.",
        ]
        : [],
    };
  }
  if (isPageStatus(status) && isEmpty(answer.list)) return { doubts: [] };
  throw new Unclear(
    `${list.requests}, but nothing shows which is the last one: ${shownQuery(query)} ${shown(answer)}. ` +
      "Look for it in the source's documentation.",
  );
}

function isEmpty(list: unknown): boolean {
  return Array.isArray(list) && list.length === 0;
}

function shownQuery(query: Query): string {
  return Object.entries(query).map(([name, value]) => `${name}=${value}`).join("&");
}

function shown({ status, list, records: { length } }: Answer): string {
  if (!isPageStatus(status)) return `answers HTTP ${status}`;
  if (!Array.isArray(list)) return "holds no list";
  return `holds ${length === 0 ? "no records" : length === 1 ? "1 record" : `${length} records`}`;
}

/** The smallest page length, at least 2, of which the last page of `total` records is short. */
export function shortening(total: number): number {
  let length = 2;
  while (total % length === 0) length += 1;
  return length;
}
