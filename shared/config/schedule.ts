/**
 * The variables that determine planned times. The extractor requests runs at these times, the saver detects those that
 * passed without a run.
 */
import { z } from "zod";
import { PARTS } from "../pipeline/definition.ts";
import { whole } from "./variables.ts";

function isTimeZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }) !== undefined;
  } catch {
    return false;
  }
}

/** The variables, where `placeholder` is the schedule of `users`, with its default value. */
export function scheduleVariables(placeholder: unknown) {
  const { fallback } = placeholder as { fallback: string };
  return {
    SLEEP_INTERVAL_SECONDS: whole(1, 31_536_000).optional().describe(
      "Seconds between runs; where set, SCHEDULE is ignored. Default: unset.",
    ),
    SCHEDULE: PARTS.schedule.default(fallback).describe(
      `When runs of users start by themselves: a cron pattern, read in TZ, or off. Default ${fallback}.`,
    ),
    TZ: z.string().refine(isTimeZone, "wanted a time zone such as Europe/Madrid").default("UTC").describe(
      "Time zone of SCHEDULE. Default UTC.",
    ),
  };
}
