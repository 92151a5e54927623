/** The interface of a paging style. Pure: no clock, no network, no state. */
import { TransientError } from "../../shared/errors/errors.ts";
import type { At } from "../../shared/pipeline/mod.ts";
import { tolerance } from "../ending.ts";
import { linksIn } from "./link_header.ts";

/**
 * Small JSON that the checkpoint stores: `{ skip: 300 }`, `{ cursor: "…" }`, `{ link: "…" }`. Only its style interprets
 * it.
 */
export type Position = Readonly<Record<string, string | number>>;

/** Query parameters for the source's own address, or the address of a link. */
export type PageRequest = { readonly query: Readonly<Record<string, string>> } | { readonly link: string };

export interface Announced {
  readonly total?: number | undefined;
  readonly pages?: number | undefined;
  /** The greatest total so far. */
  readonly most?: number | undefined;
}

/** What a page announces about the next one. */
export interface Way extends Omit<Announced, "most"> {
  /** Undefined at the end. */
  readonly next?: Position | undefined;
  /** Whether the source explicitly said that this is the end. False if it merely sent nothing more. */
  readonly isStatedEnd?: boolean;
  /** Whether the page is the last of its window of changes, so that the next one belongs to the next window. */
  readonly isWindowEnd?: boolean;
  /** Whether the page has only confirmed the total before it. */
  readonly isConfirmation?: boolean;
}

/** An answer, as paging styles see it. */
export interface Answered {
  /** Records on the page. */
  readonly length: number;
  /** How many of them earlier pages had; 0 if that isn't known. */
  readonly repeated: number;
  /** The plural noun for records, for messages. */
  readonly noun: string;
  /** Whether a status stands for an empty list, so that there is no body. */
  readonly blank: boolean;
  /** The address of the answer; links are relative to it. */
  readonly address: URL;
  /** The value at a place of the body, or of a header; undefined if it is missing. */
  value(place: At): unknown;
  /** The last record's value at `path`; undefined on an empty page. */
  last(path: string): unknown;
}

export interface Style {
  /** Its name in definitions; a style with another name can't resume a run. */
  readonly by: string;
  /** Whether a position, such as a cursor, may expire. */
  readonly mayExpire?: boolean;
  readonly begin: Position;
  /** The places in the body that it reads. */
  readonly places: readonly string[];
  request(position: Position): PageRequest;
  /** What the page at `position` announces about the next one. @throws Contradiction */
  after(position: Position, page: Answered, seen: Announced): Way;
  /**
   * The position after `next`, if that page has the length of the last one (`length`) and is within the total;
   * undefined if only an answer can tell the position.
   */
  ahead?(next: Position, length: number, announced: Announced): Position | undefined;
  /** A page's name in messages; undefined if its sequence number in the run is clearer. */
  label?(position: Position): string;
  /** The position after `records` records, for state files of earlier versions. */
  at?(records: number): Position;
}

/** Whether the page is the last of the source, or of its window of changes. */
export function isLast({ next, isWindowEnd }: Way): boolean {
  return next === undefined || isWindowEnd === true;
}

/** Whether `position` is the source's first page, or the first one of a window of changes. */
export function isBeginning({ begin }: Pick<Style, "begin">, position: Position): boolean {
  const own = ({ from: _from, to: _to, announced: _announced, paged: _paged, ...own }: Position) =>
    JSON.stringify(own);
  return own(begin) === own(position);
}

/** A page that contradicts itself or earlier announcements. A repeated request may get a correct page. */
export class Contradiction extends TransientError {
  override readonly name: string = "Contradiction";
}

/**
 * The number of records or pages that `page` announces at `place`. `before` if the page is blank, or lacks a number
 * that an earlier page had.
 *
 * @throws Contradiction if the value isn't a count.
 */
export function countAt(page: Answered, place: At | undefined, before?: number): number | undefined {
  const value = place === undefined || page.blank ? undefined : page.value(place);
  if (place === undefined || page.blank || (value === undefined && before !== undefined)) return before;
  const count = typeof value === "string" ? countIn(value) ?? value : value;
  if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0) {
    if (count > 0 || page.length === 0) return count;
    throw new Contradiction(`${page.noun}, though ${placeName(place)} is 0`);
  }
  throw new NoPage(page.noun, `${placeName(place)}: wanted a whole number, found ${kind(value)}`);
}

/** Whether a status comes with a page. Some sources call each page of a list partial content. */
export function isPageStatus(status: number): boolean {
  return status === 200 || status === 206;
}

/** The count in a text: digits, or those after the slash of a `Content-Range` such as `items 0-24/573`. */
export function countIn(text: string): number | undefined {
  const [, digits] = /^(?:(?:[\w-]+ )?(?:\d+-\d+|\*)\/)?(\d{1,15})$/.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Whether the flag at `path` says that there is more; undefined without a path. The path of a flag that says the
 * opposite begins with `!`. @throws Contradiction if the value isn't a flag.
 */
export function saysMore(page: Answered, path: string | undefined): boolean | undefined {
  if (path === undefined || page.blank) return undefined;
  const value = page.value(flagPath(path)!);
  if (typeof value === "boolean") return value === !path.startsWith("!");
  throw new NoPage(page.noun, `${flagPath(path)}: wanted true or false, found ${kind(value)}`);
}

/** The path in a definition's `more`. */
export function flagPath(more: string | undefined): string | undefined {
  return more?.replace(/^!/, "");
}

/**
 * The text or number at `place`; undefined if it is missing, null or empty. @throws Contradiction if it is of another
 * type.
 */
export function textAt(page: Answered, place: At): string | undefined {
  const value = page.value(place);
  if (isNothing(value)) return undefined;
  if (typeof value === "string" || typeof value === "number") return String(value);
  throw new NoPage(page.noun, `${placeName(place)}: wanted a text, found ${kind(value)}`);
}

/** Whether a page explicitly says that it is the last: the member for the next page exists, and is empty. */
export function saysEnd(page: Answered, place: At): boolean {
  const value = page.value(place);
  return value !== undefined && isNothing(value);
}

/** Members by which sources name a next page, or say that there is one. */
const NEXT = [
  ..."next next_page next_url next_page_url nextPage nextLink next_link next_cursor nextCursor".split(" "),
  ..."next_page_token nextPageToken next_token nextToken @odata.nextLink nextRecordsUrl".split(" "),
  ..."links.next _links.next paging.next pagination.next meta.next meta.next_page meta.next_cursor".split(
    " ",
  ),
  ..."pagination.next_page pagination.next_cursor response_metadata.next_cursor".split(" "),
];
const MORE = [
  ..."has_more hasMore more more_records has_next hasNext has_next_page hasNextPage".split(" "),
  ..."meta.has_more pagination.has_more pagination.has_next paging.has_more info.more_records".split(" "),
];

/** The places that `refuseOtherNext` reads. */
export const OTHER_NEXT: readonly string[] = [...NEXT, ...MORE];

/** @throws Contradiction if the page names a next page in another place than the definition does. */
export function refuseOtherNext(page: Answered): void {
  if (page.blank) return;
  const header = page.value({ header: "link" });
  const links = typeof header === "string" ? linksIn(header) ?? [] : [];
  if (links.some(({ rels }) => rels.includes("next"))) {
    throw new Contradiction('a next page in its header Link: wanted paging: { by: "link-header" }');
  }
  const place = NEXT.find((place) => isLink(page.value(place), place)) ??
    MORE.find((place) => page.value(place) === true);
  if (place === undefined) return;
  throw new Contradiction(`a next page in ${place}, which the definition's paging doesn't use`);
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === false;
}

export function emptyBefore(page: Answered, total: number): Contradiction {
  return emptyThough(page, `${total} were announced; where that isn't the true number, name no total`);
}

/** Whether the value at `place` is a cursor, an address, or an object with one. `next` alone may be anything else. */
function isLink(value: unknown, place: string): boolean {
  if (isNothing(value) || Number(value) <= 0) return false;
  if (typeof value === "object") return isLink((value as { href?: unknown }).href, place);
  return place !== "next" || /^(https?:\/\/|[/?])/.test(String(value));
}

/** Records after the announced number of them. */
export function moreThan(page: Answered, total: number): Contradiction {
  return new WrongTotal(
    `more ${page.noun} than ${total}, the announced number; if that isn't the true number, name no total`,
  );
}

/** Marks the position after as many records as announced: a refusal there confirms their number. */
export const BEYOND = 1;
/** Marks a position after as many records, of which some were repeated. */
export const MAYBE_BEYOND = 2;

/**
 * The end, if `position` is beyond a total and the page brings nothing new, however it says so. Undefined if the
 * position isn't, or the source has grown.
 *
 * @param received the number of records, including those of the page; earlier repeats don't count
 * @throws WrongTotal if there are more records than announced, or the page announces others that it doesn't have
 */
export function endBeyond(
  position: Position,
  page: Answered,
  totalAt: At | undefined,
  { total = 0 }: Announced,
  received: number,
): Way | undefined {
  if (position.beyond === undefined) return undefined;
  const value = page.blank || totalAt === undefined ? undefined : page.value(totalAt);
  const count = typeof value === "string" ? countIn(value) : value;
  const hasGrown = typeof count === "number" && count > total;
  const isNew = page.length > page.repeated;
  if (isNew && !hasGrown && received - page.repeated > total) throw moreThan(page, total);
  // a record that was added in front has moved another one here
  if (hasGrown && !isNew && count - total > tolerance(count)) {
    throw new WrongTotal(emptyBefore(page, count).message);
  }
  return isNew ? undefined : { total, isStatedEnd: true, isConfirmation: true };
}

/** Whether `total` may be the length of the first page, as some sources call it: that page is full, and has as many. */
export function isPageLength(total: number, page: Answered, size: number, before: number): boolean {
  return before === 0 && total === page.length && page.length >= size;
}

/** A page without records, although more are expected. */
export function emptyThough(page: Answered, what: string, lacks: string = page.noun): Contradiction {
  return new Contradiction(`no ${lacks}, though ${what}`);
}

/** The announced number of records isn't the true one. */
export class WrongTotal extends Contradiction {
  override readonly name: string = "WrongTotal";
}

/** A page lacks a link that it had when the run came to it: the list may have become shorter. */
export class Shortened extends Contradiction {
  override readonly name: string = "Shortened";
}

export class NoPage extends Contradiction {
  override readonly name: string = "NoPage";

  /** `problem` names places and kinds, never values. */
  constructor(noun: string, readonly problem: string) {
    super(`JSON that is no page of ${noun} (${problem})`);
  }
}

export function kind(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

export function bodyPaths(...places: readonly (At | undefined)[]): string[] {
  return places.filter((place) => typeof place === "string");
}

function placeName(place: At): string {
  return typeof place === "string" ? place : `header ${place.header}`;
}
