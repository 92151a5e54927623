import { Cron } from "croner";
import { DEFAULT_PIPELINE } from "../contracts/names.ts";
import { type ReadEnv, resolved, variablesOf } from "./resolve.ts";

/** The variables for the schedule of `users`, and for the time zone of all pipelines. */
export interface ScheduleConfig {
  readonly SCHEDULE: string;
  readonly SLEEP_INTERVAL_SECONDS?: number | undefined;
  readonly TZ: string;
}

export interface Timetable extends ScheduleConfig {
  readonly pipeline: string;
}

/**
 * The timetable of the pipeline `name`; undefined if its definition never plans a run, or says `off`. For `users`,
 * `off` still allows the runs at the start. `SLEEP_INTERVAL_SECONDS` replaces `SCHEDULE` for definitions that name that
 * variable.
 *
 * @param complain called with the problems of the definition's variables; nothing is planned then
 */
export function timetableOf(
  name: string,
  schedule: string | undefined,
  { SLEEP_INTERVAL_SECONDS, TZ }: ScheduleConfig,
  readEnv: ReadEnv,
  complain: (problems: string) => void = () => {},
): Timetable | undefined {
  if (schedule === undefined || schedule === "off") return undefined;
  const { value, problems } = resolved(schedule, readEnv, "schedule");
  if (problems.length > 0) {
    complain(problems.join("; "));
    return undefined;
  }
  if (value === "off" && name !== DEFAULT_PIPELINE) return undefined; // it has no run at the start either
  const isInterval = variablesOf(schedule).includes("SCHEDULE");
  return {
    pipeline: name,
    SCHEDULE: value,
    SLEEP_INTERVAL_SECONDS: isInterval ? SLEEP_INTERVAL_SECONDS : undefined,
    TZ,
  };
}

/**
 * The next planned time after `after`, both in milliseconds since 1970; undefined when nothing is planned. Intervals are counted from 1970.
 */
export function nextTick(timetable: ScheduleConfig, after: number): number | undefined {
  const { SLEEP_INTERVAL_SECONDS: interval } = timetable;
  if (interval !== undefined) {
    const intervalMs = interval * 1_000;
    return (Math.floor(after / intervalMs) + 1) * intervalMs;
  }
  return cronOf(timetable)?.nextRun(new Date(after))?.getTime();
}

/** The last planned time at or before `until`, as `nextTick`. */
export function lastTick(timetable: ScheduleConfig, until: number): number | undefined {
  const { SLEEP_INTERVAL_SECONDS: interval } = timetable;
  if (interval !== undefined) return Math.floor(until / (interval * 1_000)) * interval * 1_000;
  const second = Math.floor(until / 1_000) * 1_000;
  // the last planned time before the next second
  return cronOf(timetable)?.previousRuns(1, new Date(second + 1_000))[0]?.getTime();
}

function cronOf({ SCHEDULE, TZ }: ScheduleConfig): Cron | undefined {
  return SCHEDULE === "off" ? undefined : new Cron(SCHEDULE, { timezone: TZ, paused: true });
}
