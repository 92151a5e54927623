/** Requests only changes: their start, and their windows. */
import type { Moment } from "../shared/contracts/messages.ts";
import type { Duration } from "../shared/pipeline/mod.ts";
import { compare, timeLike, timeOf } from "../shared/pipeline/moments.ts";
import type { AnySource } from "./source.ts";
import type { Position, Style } from "./paging/style.ts";

/**
 * `moment`, limited to `now` if it is an ISO time: a record dated in the future must not hide all changes until then.
 */
export function notAfter(moment: Moment | undefined, now: number): Moment | undefined {
  const time = moment === undefined ? undefined : timeOf(moment);
  return time !== undefined && time > now ? nowLike(moment!, now) : moment;
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
  if (typeof moment === "number") return moment + (Math.abs(moment) < 1e11 ? Math.floor(ms / 1_000) : ms);
  const time = timeOf(moment);
  // a value that is neither time nor number can't be shifted
  return time === undefined ? moment : timeLike(time + ms, moment);
}

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
  const start = shifted(from, -durationMs(overlap ?? "0s"));
  const end = window === undefined ? undefined : nowLike(start, now);
  const windowMs = window === undefined ? 0 : durationMs(window);
  const beginning = (from: Moment, announced = 0): Position => {
    if (end === undefined) return { ...style.begin, from };
    const next = shifted(from, windowMs);
    const to = compare(next, end) < 0 && compare(next, from) > 0 ? next : end;
    return { ...style.begin, from, to, announced };
  };
  const { ahead: _ahead, at: _at, ...alone } = style;
  return {
    ...alone,
    begin: beginning(start),
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
      const inWindow = seen.total === undefined ? seen : { ...seen, total: seen.total - before };
      const way = style.after(position, page, inWindow);
      const total = way.total === undefined ? undefined : way.total + before;
      if (way.next !== undefined) {
        return {
          ...way,
          total,
          next: { ...way.next, from: from!, ...to === undefined ? {} : { to, announced } },
        };
      }
      if (to === undefined || end === undefined || compare(to, end) >= 0) return { ...way, total };
      return { total, next: beginning(to, total), isStatedEnd: true };
    },
  };
}

/** The time `now`, in the format of `moment`. */
function nowLike(moment: Moment, now: number): Moment {
  if (typeof moment === "number") return Math.abs(moment) < 1e11 ? Math.floor(now / 1_000) : now;
  return timeLike(now, moment);
}

function filled(send: Readonly<Record<string, string>>, value: Moment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(send).map(([name, text]) => [name, text.replaceAll("{}", String(value))]),
  );
}
