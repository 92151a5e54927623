/** What an answer says about the whole list: numbers and flags. */
import { countIn } from "../../extractor/paging/style.ts";
import type { At } from "../../shared/pipeline/mod.ts";
import type { Answer } from "./new_ask.ts";

export interface Counted {
  readonly place: At;
  readonly count: number;
}

const MORE = /^(has_?more|more|has_?next(_?page)?|more_?(results|records)?_?available)$/i;
const CUT = /^(is_?)?truncated$|^exceeded_?transfer_?limit$/i;
const LAST =
  /^(is_?)?((last|final)(_?(page|batch|chunk))?|done|complete|completed|finished|exhausted|eof|(at_?)?end|end_?of_?\w+|no_?more)$/i;
const NEXT =
  /(^|[._-])next([._-]?(page|cursor|token|link|url|uri|href|offset|marker|start|index|key|records?_?url|after|id))*$/i;
const TOTAL =
  /^(@odata\.)?(total|count|(total|result|record|item)[-_]?(count|results|records|hits|items|elements|size)|num_?found|records_?total)$/i;
const PAGES = /^(total_?pages|pages|page_?count|last_?page|num_?pages)$/i;

/** The flag that there are more records. */
export function moreIn(answer: Answer): string | undefined {
  return answer.leaves.find(({ key, value }) => MORE.test(key) && value === true)?.place;
}

/** What says that there are more records than the answer's, in words. */
export function cutIn(answer: Answer): string | undefined {
  for (const { place, key, value } of answer.leaves) {
    if (value === true && (MORE.test(key) || CUT.test(key))) return `${place} is true`;
    if (value === false && LAST.test(key)) return `${place} is false`;
    const isNamed = typeof value === "string" ? value !== "" : typeof value === "number" && value > 0;
    if (isNamed && NEXT.test(place)) return `${place} names a next page`;
  }
  const pages = pagesIn(answer);
  if (pages !== undefined && pages.count > 1) return says(pages);
  const total = totalIn(answer);
  if (total !== undefined && total.count > answer.records.length) return says(total);
}

/** Whether a name is that of a total. Others, such as count, may mean the page's length. */
export function isTotal(place: At): boolean {
  return /total|num_?found/i.test(nameOf(place).split(".").at(-1)!);
}

/** The total; of several numbers the greatest, those of a total first. */
export function totalIn(answer: Answer): Counted | undefined {
  return totalsIn(answer)[0];
}

export function totalInBody(answer: Answer): Counted | undefined {
  return totalsIn(answer).find(({ place }) => typeof place === "string");
}

export function pagesIn(answer: Answer): Counted | undefined {
  return countsIn(answer, PAGES, "x-wp-totalpages", "x-total-pages").find(({ count }) => count > 0);
}

export function nameOf(place: At): string {
  return typeof place === "string" ? place : place.header;
}

export function says({ place, count }: Counted): string {
  return `${nameOf(place)} says ${count}`;
}

function totalsIn(answer: Answer): Counted[] {
  return countsIn(answer, TOTAL, "x-total-count", "x-total", "x-wp-total", "content-range")
    .filter(({ count }) => count >= answer.records.length)
    .sort((a, b) => Number(isTotal(b.place)) - Number(isTotal(a.place)) || b.count - a.count);
}

function countsIn({ leaves, headers }: Answer, name: RegExp, ...names: string[]): Counted[] {
  const found = [
    ...leaves.filter(({ key }) => name.test(key)).map(({ place, value }) => ({ place, value })),
    ...names.map((header) => ({ place: { header }, value: headers.get(header) })),
  ];
  return found.flatMap(({ place, value }) => {
    const count = typeof value === "string" ? countIn(value) : value;
    return Number.isSafeInteger(count) ? [{ place, count: Number(count) }] : [];
  });
}
