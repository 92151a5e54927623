/** Determines which changes a run requests, for pipelines with `since`. */
import type { Moment, SinceRange, StartRun } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { later } from "../shared/pipeline/moments.ts";
import type { Unfinished } from "./checkpoint.ts";
import type { RecordId } from "./ids.ts";
import { SIZES } from "./full.ts";
import type { Page } from "./page.ts";
import type { Position } from "./paging/style.ts";
import { notAfter } from "./since.ts";
import type { Source } from "./source.ts";
import { changeStanding, cursorOf, rewound, standingOf } from "./standing.ts";
import type { State } from "../shared/files/state.ts";

/**
 * The moment since which a new run requests changes; undefined if it requests everything. A request that names a moment
 * rewinds the pipeline.
 */
export async function sinceOf(
  { since: moment }: StartRun,
  { pipeline, name, since }: Source,
  state: State,
  now: number,
  signal: AbortSignal,
): Promise<Unfinished["since"]> {
  if (since === undefined) return undefined;
  const of = `${since.field} of ${name}`;
  const standing = moment === undefined
    ? await standingOf(state, pipeline)
    : await changeStanding(state, pipeline, (one) => rewound(one, of, moment), signal);
  return { from: cursorOf(standing, of) ?? since.from, now, of, rewinds: standing.rewinds };
}

/**
 * The range of changes that the run covers. If a record may be missing, the range ends where it began, so that the next
 * run requests it again. With counted pages a record can be missed: a changed record moves behind all others, and those
 * after it move up by one place.
 */
export function rangeOf(
  { since, latest, is_latest_final, is_counted, paging = "" }: Unfinished,
  missing: number,
): SinceRange | undefined {
  if (since === undefined) return undefined;
  const { from, now, of, rewinds } = since;
  const hasCounts = is_counted === true || ["offset", "page"].includes(paging);
  const hasGap = missing > 0 || (is_latest_final === true && hasCounts);
  const to = hasGap ? undefined : notAfter(latest, now, from);
  return { from, ...to === undefined ? {} : { to }, of, rewinds };
}

/**
 * Whether the position of the next page counts pages or records. Many cursors and links do (`page=2`), and then miss
 * records as offsets do. A parameter that the page itself was requested with counts nothing.
 */
export function isCounted(
  { position, way: { next = {} } }: Page,
  { query }: Source,
  pages: number,
  received: number,
): boolean {
  const counts = [pages, pages + 1, received].map(String);
  if (next.cursor !== undefined) return counts.includes(String(next.cursor));
  const parametersOf = ({ link }: Position) =>
    link === undefined ? [] : [...new URL(String(link)).searchParams];
  const before = new Map([...Object.entries(query), ...parametersOf(position)]);
  return parametersOf(next).some(([name, value]) =>
    !SIZES.test(name) && String(before.get(name)) !== value && counts.includes(value)
  );
}

/** The records of a page. */
interface Taken {
  /** Which ones are written. */
  readonly isTaken: readonly boolean[];
  /** Which ones are skipped as their id was on an earlier page. */
  readonly isRepeated: readonly boolean[];
}

/**
 * A record whose id was on an earlier page, or earlier on this one, is skipped. With `moments`, a later version of a
 * record on the same page is taken too: in the database it replaces the earlier one.
 */
export function taken(
  ids: readonly (RecordId | undefined)[],
  moments: readonly unknown[],
  isNew: (id: RecordId) => boolean,
): Taken {
  const newest = new Map<RecordId, Moment | undefined>();
  const isRepeated = ids.map(() => false);
  const isTaken = ids.map((id, i) => {
    if (id === undefined) return true;
    if (isNew(id)) {
      if (moments.length > 0) newest.set(id, later(undefined, moments[i]));
      return true;
    }
    isRepeated[i] = !newest.has(id);
    const before = newest.get(id);
    const now = later(before, moments[i]);
    if (isRepeated[i] || now === before) return false;
    newest.set(id, now);
    return true;
  });
  return { isTaken, isRepeated };
}

/** @throws PermanentError if a request rewinds a pipeline without `since`. */
export function refuseRewind({ since, pipeline }: StartRun, source: Source): void {
  if (since === undefined || source.since !== undefined) return;
  throw new PermanentError(
    `Cannot rewind ${pipeline}: its definition has no since, so each run reads all records. Start a run.`,
  );
}
