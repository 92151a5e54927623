/** Moments: times and numbers by which sources mark changes, compared by value, and written in the source's format. */
import type { Moment } from "../contracts/messages.ts";

/**
 * The later of two moments; any other value is ignored. ISO times are compared as times, whatever their zone and
 * precision.
 */
export function later(one: Moment | undefined, other: unknown): Moment | undefined {
  if ((typeof other !== "string" || other === "") && typeof other !== "number") return one;
  return one === undefined || compare(other, one) > 0 ? other : one;
}

/**
 * Whether `value` is a moment as `like` is: a time, a number (or a time, as 0 may stand for the beginning), or any text.
 * A source may write "n/a" or a month 13 for one record, and as texts these would be later than every time.
 */
export function isLike(like: Moment, value: Moment): boolean {
  if (timeOf(like) !== undefined) return timeOf(value) !== undefined;
  return !isNumeric(like) || isNumeric(value) || timeOf(value) !== undefined;
}

function isNumeric(moment: Moment): boolean {
  return /^-?\d+(\.\d+)?$/.test(String(moment));
}

/** Negative if `a` is earlier than `b`, positive if it is later. */
export function compare(a: Moment, b: Moment): number {
  const [left, right] = [timeOf(a), timeOf(b)];
  if (left !== undefined && right !== undefined) return left - right || compareTexts(finer(a), finer(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (isWhole(a) && isWhole(b)) return BigInt(a) < BigInt(b) ? -1 : Number(BigInt(a) > BigInt(b));
  return compareTexts(String(a), String(b));
}

function isWhole(moment: Moment): boolean {
  return /^-?\d+$/.test(String(moment));
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

const ISO =
  /^(?<date>\d{4}-\d{2}-\d{2})(?:(?<mark>[T ])\d{2}:\d{2}(?<seconds>:\d{2}(?:\.(?<fraction>\d+))?)?(?<zone>Z| ?UTC| ?[+-]\d{2}(?::?\d{2})?)?)?$/i;

function partsOf(moment: Moment): Record<string, string | undefined> | undefined {
  return typeof moment === "number" ? undefined : ISO.exec(moment)?.groups;
}

/** Milliseconds since 1970; a time without a zone is in UTC. Undefined for anything but an ISO time. */
export function timeOf(moment: Moment): number | undefined {
  const parts = partsOf(moment);
  if (parts === undefined) return undefined;
  const { date, zone } = parts;
  const clock = String(moment).slice(date!.length + 1).replace(/(Z| ?UTC| ?[+-][\d:]+)$/i, "");
  const ms = Date.parse(clock === "" ? date! : `${date}T${clock}Z`) - offsetOf(zone);
  return Number.isNaN(ms) ? undefined : ms;
}

/** A zone's offset from UTC, in milliseconds. */
function offsetOf(zone: string | undefined): number {
  const [, sign, hours, minutes = "0"] = /^ ?([+-])(\d{2}):?(\d{2})?$/.exec(zone ?? "") ?? [];
  if (sign === undefined) return 0;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** The digits of a second's fraction beyond the milliseconds. */
function finer(moment: Moment): string {
  return (partsOf(moment)?.fraction ?? "").slice(3).replace(/0+$/, "");
}

/**
 * The time `ms` in the format of `like`, an ISO time: with its precision, its zone, and its separator of date and time.
 */
export function timeLike(ms: number, like: string): string {
  const { mark, seconds, fraction, zone } = partsOf(like) ?? {};
  const text = new Date(ms + offsetOf(zone)).toISOString();
  if (mark === undefined) return text.slice(0, 10);
  const clock = text.slice(11, seconds === undefined ? 16 : 19);
  const digits = fraction === undefined
    ? ""
    : `.${text.slice(20, 23).padEnd(fraction.length, "0").slice(0, fraction.length)}`;
  return `${text.slice(0, 10)}${mark}${clock}${digits}${zone ?? ""}`;
}
