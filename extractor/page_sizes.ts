/**
 * How many records each page added to the raw file, in few words: so that the page of a line is known.
 *
 * @module
 */
import type { Unfinished } from "./checkpoint.ts";
import type { Source } from "./source.ts";

/** Pages in a row, and how many records each added. */
export type PageSizes = Unfinished["page_sizes"];

/** Runs of pages of one size that are kept. */
const MOST = 100;

/** With a page that added `records`; undefined where sizes vary too much. */
export function withPage(sizes: PageSizes, records: number): PageSizes {
  if (sizes === undefined) return undefined;
  const [pages, size] = sizes.at(-1) ?? [0, records];
  if (size === records) return [...sizes.slice(0, -1), [pages + 1, size]];
  return sizes.length === MOST ? undefined : [...sizes, [1, records]];
}

/** What a run tells of its pages. */
export interface ToldPages {
  readonly page_sizes?: PageSizes;
  readonly paging?: string;
  /** The first page's place, such as `skip=0`, where those of later ones follow from how many records or pages came before. */
  readonly first_page?: string;
}

/** The sizes of a run's pages; and where no record came twice and no window began again, where the pages stood. */
export function toldPages({ page_sizes, duplicates }: Unfinished, { style, since }: Source): ToldPages {
  if (page_sizes === undefined) return {};
  if (duplicates > 0 || since?.window !== undefined || !["offset", "page"].includes(style.by)) {
    return { page_sizes };
  }
  return { page_sizes, paging: style.by, first_page: style.label!(style.begin) };
}
