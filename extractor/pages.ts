import { PermanentError, TransientError } from "../shared/errors/errors.ts";
import { ending, tolerance } from "./ending.ts";
import { fullPage } from "./full.ts";
import { IdSet, type RecordId } from "./ids.ts";
import { BeginAgain, Outdated } from "./outdated.ts";
import { fetchPage, type Page, PageBuffer, Refused } from "./page.ts";
import { type Announced, isBeginning, isLast, type Position, Shortened, type Way } from "./paging/style.ts";
import type { Source } from "./source.ts";

/** A source counts as endless if it grows beyond twice its first total plus 10,000 records while it is read. */
const MAX_GROWTH = { factor: 2, plus: 10_000 } as const;

/** More consecutive empty pages than this, each naming a next page, count as an error. */
const MAX_EMPTY = 1_000;

/** The statuses of an expired cursor or link. */
const EXPIRED = [400, 404, 410, 422];

interface Progress {
  readonly position: Position;
  /** Records received so far, including repeated ones. */
  readonly received: number;
  readonly pages: number;
  /** The total that the source announced on the run's first page; undefined before that page. */
  readonly firstTotal: number | undefined;
  readonly announced: Announced;
  /** Records received where the window of changes begins. */
  readonly windowReceived?: number | undefined;
  /** Why a window's only page may not hold all of it. */
  readonly full?: string | undefined;
  /** Whether the run has received the record. */
  readonly isKnown?: (id: RecordId) => boolean;
}

/** The beginning of a source. */
export function startOf({ style }: Source): Progress {
  return { position: style.begin, received: 0, pages: 0, firstTotal: undefined, announced: {} };
}

/** A page announces a much smaller total than earlier ones, or the end long before the total, possibly by mistake. */
class TooFew extends TransientError {
  override readonly name: string = "TooFew";
}

interface Coming {
  readonly position: Position;
  readonly buffer: PageBuffer;
  readonly page: Promise<Page>;
  isHere: boolean;
}

interface TurnedPage extends Page {
  /** Whether the next page has been fetched too, so that both can be saved at once. Only with concurrent requests. */
  readonly isNextHere: boolean;
  /** Why this page or an earlier window's only one may not hold all of it. */
  readonly full: string | undefined;
}

/** The first page. @throws as `pagesOf` */
export async function firstPage(source: Source, signal: AbortSignal): Promise<Page> {
  const pages = pagesOf({ ...source, concurrency: 1 }, startOf(source), signal);
  const { value } = await pages.next();
  await pages.return(undefined);
  return value!;
}

/**
 * Yields the pages from `from` to the end of the source. Requests are concurrent if the definition allows it and the
 * paging style can predict positions. A page may hold fewer records than requested; the next one begins where it ended.
 * A page is valid until the next one is requested. The latest total determines the end, as a source can grow in the
 * meantime.
 *
 * @throws as `fetchPage`; Outdated when the source has changed since the run was interrupted; BeginAgain when its total
 * falls, or it grows without end or repeats positions.
 */
export async function* pagesOf(
  source: Source,
  from: Progress,
  signal: AbortSignal,
): AsyncGenerator<TurnedPage> {
  const { style, name, pipeline } = source;
  let left = new AbortController();
  const leave = async () => {
    left.abort(new Error("No more pages are wanted."));
    await Promise.allSettled(coming.map(({ page }) => page));
    for (const { buffer } of coming.splice(0)) free.push(buffer);
    left = new AbortController();
  };
  const free: PageBuffer[] = [];
  const coming: Coming[] = [];
  const passed = new IdSet();
  passed.add(JSON.stringify(from.position));
  let { received, pages, announced } = from;
  let empty = 0;
  let full = from.full; // of a window; others may show that the source names next pages
  let usual = 0; // number of records on the last page
  let position = from.position;

  const labelOf = (position: Position) => style.label?.(position) ?? `${pages + 1}`;
  const fetchAt = (position: Position): Coming => {
    const buffer = free.pop() ?? new PageBuffer();
    const wanted = {
      position,
      label: labelOf(position),
      seen: () => announced,
      check: checkTotals,
      isKnown: from.isKnown,
    };
    const asking = AbortSignal.any([signal, left.signal]);
    const page = fetchPage(source, wanted, asking, buffer);
    const coming: Coming = { position, buffer, page, isHere: false };
    const arrive = () => {
      coming.isHere = true;
      if (!asking.aborted) fill();
    };
    page.then(arrive, () => {}); // the code that awaits the page gets its failure
    return coming;
  };
  const isResumed = () => pages === from.pages && pages > 0;
  const hasWindows = source.since?.window !== undefined;
  let firstTotal = hasWindows ? undefined : from.firstTotal;
  let windowStart = isBeginning(style, from.position) ? from.received : from.windowReceived ?? 0;
  const isOnlyPage = (way: Way, position: Position) => isLast(way) && isBeginning(style, position);
  const checkTotals = ({ way, records, position }: Page) => {
    const { most } = announced;
    const greatest = greatestOf(announced, way);
    const isOnly = isOnlyPage(way, position);
    // pages by number end at the total, and may be requested before earlier ones are counted
    if (isOnly || (isLast(way) && style.ahead === undefined)) {
      const all = received + (records?.length ?? 0) - windowStart;
      const wanted = hasWindows ? totalInWindow(way, position) : greatest;
      // while an only page is read, nothing is deleted
      const isShort = isOnly ? all < (wanted ?? 0) : !ending({ records: all, announced: wanted }).isComplete;
      if (isShort) {
        throw new TooFew(
          `an end after ${all} ${pipeline}, though ${wanted} were announced (if that isn't the true number, name no total)`,
        );
      }
    }
    if (way.total !== undefined && most !== undefined) {
      if (most - way.total > tolerance(most)) {
        throw new TooFew(`HTTP 200 with a total of ${way.total}, though ${most} were announced before`);
      }
      if (isResumed() && !hasWindows && way.total - most > tolerance(most)) {
        throw new Outdated(
          `Cannot resume at page ${
            labelOf(position)
          } of ${name}: it announces ${way.total} ${pipeline}, and announced ${most} when the run was left. ` +
            `The run begins at the source's beginning.`,
          { retryable: true },
        );
      }
    }
    if (way.pages !== undefined && announced.pages !== undefined && !hasWindows) {
      if (announced.pages - way.pages > Math.max(1, announced.pages / 10)) {
        throw new TooFew(`HTTP 200 with ${way.pages} pages, though ${announced.pages} were announced before`);
      }
    }
  };
  const taken = async ({ page }: Coming): Promise<Page> => {
    try {
      return await page;
    } catch (error) {
      const cause = error instanceof PermanentError && error.cause instanceof Error ? error.cause : undefined;
      const place = `at page ${labelOf(position)} of ${name}`;
      if (cause?.cause instanceof Shortened) {
        throw new BeginAgain(
          `Cannot continue ${place}: ${cause.message}. The next run begins at the source's beginning.`,
          { retryable: true },
        );
      }
      if (cause instanceof TooFew) {
        if (isResumed()) {
          throw new Outdated(
            `Cannot resume ${place}: ${cause.message}. The run begins at the source's beginning.`,
            { retryable: true },
          );
        }
        throw new BeginAgain(
          `Cannot continue ${place}: ${cause.message}, and it stayed so. ` +
            `${received} ${pipeline} had come by then. Check whether the source works; the next run begins at its beginning.`,
          { retryable: true },
        );
      }
      if (isResumed() && style.mayExpire && cause instanceof Refused && EXPIRED.includes(cause.status)) {
        throw new Outdated(
          `Cannot resume ${place}: ${cause.message}. The source no longer knows this position: ` +
            `cursors and links may expire. The run begins at the source's beginning.`,
          { retryable: true },
        );
      }
      throw error;
    }
  };

  try {
    let used: PageBuffer | undefined;
    while (true) {
      if (used !== undefined) free.push(used);
      if (coming.length === 0) coming.push(fetchAt(position));
      const next = coming[0]!;
      const page = await taken(next);
      coming.shift();
      const { way } = page;
      const length = page.records?.length ?? 0;
      if (way.isConfirmation) {
        if (way.next === undefined) return;
        announced = { ...way, most: greatestOf(announced, way) };
        [position, windowStart, firstTotal] = [way.next, received, undefined];
        used = next.buffer;
        continue;
      }
      received += length;
      pages += 1;
      empty = length === 0 && !way.isWindowEnd ? empty + 1 : 0;
      const total = totalInWindow(way, page.position);
      firstTotal ??= total;
      announced = { ...way, most: greatestOf(announced, way) };
      if (isOnlyPage(way, page.position)) full ??= fullPage(source, page);
      if (way.next === undefined && full !== undefined && page.position.paged === undefined) {
        throw new BeginAgain(full);
      }
      if (way.next !== undefined) {
        refuseGrowth(source, firstTotal, received - (hasWindows ? windowStart : 0), total);
        if (empty > MAX_EMPTY) {
          throw new BeginAgain(
            `Cannot reach the end of ${name}: ${MAX_EMPTY} pages in a row held no ${pipeline}, and each named a next one. ` +
              `Check the definition's paging against the source, and start a run.`,
          );
        }
        const known = JSON.stringify(way.next);
        // a fallen total leads back to an earlier number, but nothing leads back to an earlier link
        if (!passed.add(known) && (way.total === undefined || style.mayExpire)) {
          throw new BeginAgain(
            `Cannot continue after page ${page.label} of ${name}: the next page that it names was there before, so the pages lead in a circle. ` +
              `Check the definition's paging against the source, and start a run.`,
          );
        }
        position = way.next;
        usual = length;
        if (way.isWindowEnd) [windowStart, firstTotal] = [received, undefined];
        if (coming[0] !== undefined && !same(coming[0].position, position)) await leave(); // the last page was shorter or longer than the one before
        // otherwise only once the page is saved, so that a killed run repeats one request and not two
        if (source.concurrency > 1) fill();
      }
      used = next.buffer;
      const isNextHere = source.concurrency > 1 && coming[0]?.isHere === true;
      yield { ...page, isNextHere, full };
      if (way.next === undefined) return;
    }
  } finally {
    await leave();
  }

  /** Requests as many of the next pages as the limit allows, unless too many fetched pages wait. */
  function fill(): void {
    const { concurrency } = source;
    const mostWaiting = concurrency === 1 ? 1 : 2 * concurrency;
    while (coming.length < mostWaiting && coming.filter(({ isHere }) => !isHere).length < concurrency) {
      const last = coming.at(-1);
      const at = last === undefined ? position : style.ahead?.(last.position, usual, announced);
      if (at === undefined) return;
      coming.push(fetchAt(at));
    }
  }
}

/** The greatest total up to this page; undefined if none was announced. */
function greatestOf({ most }: Announced, { total }: Way): number | undefined {
  return Math.max(most ?? 0, total ?? 0) || total;
}

/** The total without that of earlier windows. */
function totalInWindow({ total }: Way, { announced = 0 }: Position): number | undefined {
  return total === undefined ? undefined : total - Number(announced);
}

function same(a: Position, b: Position): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function refuseGrowth(
  { name, pipeline }: Source,
  first: number | undefined,
  received: number,
  total: number | undefined,
) {
  if (first === undefined || total === undefined || received <= first * MAX_GROWTH.factor + MAX_GROWTH.plus) {
    return;
  }
  throw new BeginAgain(
    `Cannot reach the end of ${name}: it announced ${first} ${pipeline}, has given ${received}, and now announces ${total}. ` +
      `Make the source end (or name no total, if that isn't the true number), and start a run.`,
  );
}
