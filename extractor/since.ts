/** Requests only changes: their start, and their windows. */
import type { Moment } from "../shared/contracts/messages.ts";
import type { Duration } from "../shared/pipeline/mod.ts";
import { compare, timeLike, timeOf } from "../shared/pipeline/moments.ts";
import type { AnySource } from "./source.ts";
import { isBeginning, type Position, type Style } from "./paging/style.ts";

/**
 * `moment`, limited to `now` if it is a time: a record dated in the future must not hide all changes until then. Whether
 * numbers are times, and in which unit, shows the moment `from` that the run began at.
 */
export function notAfter(moment: Moment | undefined, now: number, from: Moment): Moment | undefined {
  if (moment === undefined) return undefined;
  const isTime = timeOf(moment) !== undefined;
  if (!isTime && !isEpoch(from, now)) return moment;
  const latest = nowLike(isTime ? moment : from, now);
  return compare(moment, latest) > 0 ? latest : moment;
}

/** Whether a number is likely to count seconds or milliseconds since 1970, up to now, and not versions or ids. */
function isEpoch(moment: Moment, now: number): boolean {
  return Number(moment) >= 1e8 && compare(moment, nowLike(moment, now)) <= 0;
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** In milliseconds. */
export function durationMs(duration: Duration): number {
  return Number(duration.slice(0, -1)) * UNITS[duration.at(-1) as keyof typeof UNITS];
}

/**
 * `moment` plus `ms` milliseconds, in the format of `moment`. Numbers are seconds since 1970, or milliseconds if they
 * are too large for seconds.
 */
export function shifted(moment: Moment, ms: number): Moment {
  if (ms === 0) return moment;
  if (typeof moment === "number") return moment + (isSeconds(moment) ? Math.floor(ms / 1_000) : ms);
  const time = timeOf(moment);
  // a value that is neither time nor number can't be shifted
  return time === undefined ? moment : timeLike(time + ms, moment);
}

/** Marks the positions after a window's first next page: the source does name one where there is one. */
const PAGED = { paged: 1 };

type Since = NonNullable<AnySource["since"]>;

/**
 * Wraps `style` to request only changes after `from`, in windows up to `now` if the definition says so. The parameter
 * is added to every request except links.
 */
export function since(
  style: Style,
  { send, until, window, overlap }: Since,
  from: Moment,
  now: number,
): Style {
  const overlapMs = durationMs(overlap ?? "0s");
  const start = shifted(from, -overlapMs);
  const end = window === undefined ? undefined : nowLike(start, now);
  const windowMs = window === undefined ? 0 : durationMs(window);
  // a window begins at `from`, or earlier by the overlap
  const beginning = (edge: Moment, from: Moment, announced = 0, isPaged = false): Position => {
    if (end === undefined) return { ...style.begin, from };
    const next = shifted(edge, windowMs);
    const to = compare(next, end) < 0 && compare(next, edge) > 0 ? next : end;
    return { ...style.begin, from, to, announced, ...isPaged ? PAGED : {} };
  };
  const { ahead: _ahead, at: _at, ...alone } = style;
  return {
    ...alone,
    begin: beginning(start, start),
    request(position) {
      const request = style.request(position);
      if ("link" in request) return request;
      const { from, to } = position;
      return {
        query: {
          ...filled(send, from!),
          ...to === undefined ? {} : filled(until ?? {}, to),
          ...request.query,
        },
      };
    },
    after(position, page, seen) {
      const { from, to, announced = 0 } = position;
      const before = Number(announced);
      const way = style.after(position, page, {
        total: seen.total === undefined ? undefined : seen.total - before,
        pages: isBeginning(style, position) ? undefined : seen.pages,
        most: Math.max((seen.most ?? 0) - before, 0) || undefined,
      });
      const total = way.total === undefined ? undefined : way.total + before;
      if (way.next !== undefined) {
        return {
          ...way,
          total,
          next: { ...way.next, from: from!, ...to === undefined ? {} : { to, announced, ...PAGED } },
        };
      }
      if (to === undefined || end === undefined || compare(to, end) >= 0) return { ...way, total };
      const next = beginning(to, shifted(to, -overlapMs), total, position.paged !== undefined);
      return { ...way, total, next, isWindowEnd: true };
    },
  };
}

/** The time `now`, in the format of `moment`. */
function nowLike(moment: Moment, now: number): Moment {
  if (timeOf(moment) !== undefined) return timeLike(now, String(moment));
  const number = isSeconds(moment) ? Math.floor(now / 1_000) : now;
  return typeof moment === "number" ? number : String(number);
}

function isSeconds(moment: Moment): boolean {
  return Math.abs(Number(moment)) < 1e11;
}

function filled(send: Readonly<Record<string, string>>, value: Moment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(send).map(([name, text]) => [name, text.replaceAll("{}", String(value))]),
  );
}
