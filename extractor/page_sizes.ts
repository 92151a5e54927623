/** The number of records that each page added to the raw file, run-length encoded. It maps a line to its page. */
import type { Unfinished } from "./checkpoint.ts";
import type { Source } from "./source.ts";

type PageSizes = Unfinished["page_sizes"];

const MOST = 100;

/** Undefined if sizes vary too much. */
export function withPage(sizes: PageSizes, records: number): PageSizes {
  if (sizes === undefined) return undefined;
  const [pages, size] = sizes.at(-1) ?? [0, records];
  if (size === records) return [...sizes.slice(0, -1), [pages + 1, size]];
  return sizes.length === MOST ? undefined : [...sizes, [1, records]];
}

export interface ReportedPages {
  readonly page_sizes?: PageSizes;
  readonly paging?: string;
  /**
   * The first page's position, such as `skip=0`, if later positions follow from the number of records or pages before.
   */
  readonly first_page?: string;
}

/** The sizes of a run's pages. The first position is included if no record was repeated and there are no windows. */
export function reportedPages(
  { page_sizes, duplicates }: Unfinished,
  { style, since }: Source,
): ReportedPages {
  if (page_sizes === undefined) return {};
  if (duplicates > 0 || since?.window !== undefined || !["offset", "page"].includes(style.by)) {
    return { page_sizes };
  }
  return { page_sizes, paging: style.by, first_page: style.label!(style.begin) };
}
