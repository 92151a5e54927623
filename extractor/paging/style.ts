/**
 * What a style of paging has to know. Pure: no clock, no network, no state of its own.
 *
 * @module
 */
import { TransientError } from "../../shared/errors/errors.ts";
import type { At } from "../../shared/pipeline/mod.ts";

/** Small JSON that the checkpoint keeps: `{ skip: 300 }`, `{ cursor: "…" }`, `{ link: "…" }`. Opaque to all but its style. */
export type Position = Readonly<Record<string, string | number>>;

/** What to ask for: a page of the source's own address, or the address that a link leads to. */
export type PageRequest = { readonly query: Readonly<Record<string, string>> } | { readonly link: string };

/** What the source announced last. */
export interface Announced {
  readonly total?: number | undefined;
  readonly pages?: number | undefined;
  /** The greatest total that it has announced. */
  readonly most?: number | undefined;
}

/** What a page says of the way from it. */
export interface Way extends Omit<Announced, "most"> {
  /** Where to continue; undefined at the end. */
  readonly next?: Position | undefined;
  /** The source itself said that this is the end: it isn't just that nothing more came. */
  readonly said?: boolean;
}

/** An answer, as styles see it. */
export interface Answered {
  /** How many records it holds. */
  readonly length: number;
  /** What a record is called in messages, in the plural. */
  readonly noun: string;
  /** Whether it is a status that stands for an empty list: there is no body to look at. */
  readonly blank: boolean;
  /** Where it came from; links are relative to it. */
  readonly address: URL;
  /** What stands at a place of the body, or in a header; undefined where nothing does. */
  value(place: At): unknown;
  /** What the last record has at `path`; undefined where the page holds no record. */
  last(path: string): unknown;
}

export interface Style {
  /** Its name in definitions; another one can't resume a run. */
  readonly by: string;
  /** Whether a position is good for some time only, such as a cursor. */
  readonly mayExpire?: boolean;
  readonly begin: Position;
  /** The places in the body that it looks at. */
  readonly places: readonly string[];
  request(position: Position): PageRequest;
  /** What the page at `position` says of the way on. @throws Contradiction */
  after(position: Position, page: Answered, seen: Announced): Way;
  /** Where the page after `next` stands, if it is as long as the last one (`length`) and within the total; undefined where only answers tell. */
  ahead?(next: Position, length: number, announced: Announced): Position | undefined;
  /** What the page is called in messages; undefined where its number among the run's pages says more. */
  label?(position: Position): string;
  /** The position after `records` records, for the state files of earlier versions. */
  at?(records: number): Position;
}

/** A page that contradicts itself or what was announced. It may be better the next time. */
export class Contradiction extends TransientError {
  override readonly name: string = "Contradiction";
}

/**
 * The number of records or pages that `page` announces at `place`; `before`, where it has no such place and an earlier page had, or is blank.
 *
 * @throws Contradiction where there is something else.
 */
export function countAt(page: Answered, place: At | undefined, before?: number): number | undefined {
  const value = place === undefined || page.blank ? undefined : page.value(place);
  if (place === undefined || page.blank || (value === undefined && before !== undefined)) return before;
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0) {
    if (count > 0 || page.length === 0) return count;
    throw new Contradiction(`${page.noun}, though ${placeName(place)} is 0`);
  }
  throw new NoPage(page.noun, `${placeName(place)}: wanted a whole number, found ${kind(value)}`);
}

/** Whether the flag at `path` says that there is more; undefined where no flag was asked for. @throws Contradiction where it is no flag. */
export function saysMore(page: Answered, path: string | undefined): boolean | undefined {
  if (path === undefined || page.blank) return undefined;
  const value = page.value(path);
  if (typeof value === "boolean") return value;
  throw new NoPage(page.noun, `${path}: wanted true or false, found ${kind(value)}`);
}

/** The text or number at `place`; undefined where it is missing, null or empty. @throws Contradiction where it is something else. */
export function textAt(page: Answered, place: At): string | undefined {
  const value = page.value(place);
  if (isNothing(value)) return undefined;
  if (typeof value === "string" || typeof value === "number") return String(value);
  throw new NoPage(page.noun, `${placeName(place)}: wanted a text, found ${kind(value)}`);
}

/** Whether a page says explicitly that it is the last one: the place of the next one is there, and empty. */
export function saysEnd(page: Answered, place: At): boolean {
  const value = page.value(place);
  return value !== undefined && isNothing(value);
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === false;
}

/** A page without records before the announced number is reached. */
export function emptyBefore(page: Answered, total: number): Contradiction {
  return emptyThough(page, `${total} were announced; where that isn't the true number, name no total`);
}

/** A page without records, though there have to be more. */
export function emptyThough(page: Answered, what: string, lacks: string = page.noun): Contradiction {
  return new Contradiction(`no ${lacks}, though ${what}`);
}

/** An answer that isn't a page. */
export class NoPage extends Contradiction {
  override readonly name: string = "NoPage";

  /** Makes the error; `problem` names places and kinds, never values. */
  constructor(noun: string, readonly problem: string) {
    super(`JSON that is no page of ${noun} (${problem})`);
  }
}

/** What kind of JSON `value` is. */
export function kind(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** The paths among `places` that lead into the body. */
export function bodyPaths(...places: readonly (At | undefined)[]): string[] {
  return places.filter((place) => typeof place === "string");
}

function placeName(place: At): string {
  return typeof place === "string" ? place : `header ${place.header}`;
}
