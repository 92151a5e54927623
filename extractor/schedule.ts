import { getLogger } from "@logtape/logtape";
import { RunActive, tell } from "../shared/actor/ask.ts";
import { backOff, pause } from "../shared/actor/backoff.ts";
import type { Channel } from "../shared/channel/channel.ts";
import type { ConfigOf } from "../shared/config/config.ts";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import { messageOf, TransientError } from "../shared/errors/errors.ts";
import type { ReadEnv } from "../shared/pipeline/resolve.ts";
import { nextTick, type Timetable, timetableOf } from "../shared/pipeline/schedule.ts";
import type { ExtractorVariables } from "./config.ts";

export interface Clock {
  now(): number;
  /** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const SYSTEM_CLOCK: Clock = { now: Date.now, sleep: pause };

/** When a pipeline's runs start automatically, by definition and configuration. */
export type Plan =
  & Timetable
  & Pick<ConfigOf<typeof ExtractorVariables>, "RUN_ON_START" | "SCHEDULE_CATCH_UP_HOURS">;

/** Undefined if the definition never starts a run. */
export function planOf(
  name: string,
  schedule: string | undefined,
  config: Omit<Plan, "pipeline">,
  readEnv: ReadEnv,
): Plan | undefined {
  const timetable = timetableOf(
    name,
    schedule,
    config,
    readEnv,
    (problems) => log.error("planned runs are skipped", { pipeline: name, problems }),
  );
  return timetable && { ...config, ...timetable };
}

/** Stores the time up to which the schedule has handled all planned runs, in milliseconds since 1970. */
export interface PlannedUntil {
  read(): Promise<number | undefined>;
  write(at: number): Promise<void>;
}

/** The longest single sleep, in milliseconds; it limits the delay after a clock change or a suspend of the machine. */
const LONGEST_SLEEP_MS = 60_000;

/** How long a request is retried while the channel is unavailable, in milliseconds: an hour. */
const ASK_FOR_MS = 3_600_000;

const log = getLogger(["etl", "extractor", "schedule"]);

/**
 * Requests runs on `channel` according to `plan`, until `signal`. The request's id derives from the planned time, so
 * two services with the same plan request one run. A request is skipped, with a log line, while another run waits or is
 * being extracted.
 *
 * A planned time that passed while no service was running is caught up once at the start, if it isn't older than
 * `SCHEDULE_CATCH_UP_HOURS`.
 *
 * @param hasCompleted whether a run has completed before, for `RUN_ON_START=if-none`
 */
export async function runSchedule(
  plan: Plan,
  { channel, hasCompleted, plannedUntil, signal, clock = SYSTEM_CLOCK }: {
    channel: Channel;
    hasCompleted: () => Promise<boolean>;
    plannedUntil: PlannedUntil;
    signal: AbortSignal;
    clock?: Clock;
  },
): Promise<void> {
  const start = clock.now();
  const { pipeline } = plan;
  const ask = (key: string) => request(plan, key, channel, clock, signal);
  if (plan.RUN_ON_START === "always" || (plan.RUN_ON_START === "if-none" && !(await hasCompleted()))) {
    const minute = new Date(Math.floor(start / 60_000) * 60_000);
    await ask(keyOf(plan, `start/${minute.toISOString()}`));
  } else {
    const missed = missedTick(plan, await plannedUntil.read(), start);
    if (missed !== undefined) {
      log.warning("a planned time passed while no extractor ran, its run is requested now", {
        pipeline,
        planned: new Date(missed).toISOString(),
      });
      await ask(keyOf(plan, new Date(missed).toISOString()));
    }
  }
  await keep(plannedUntil, start);
  let now = start;
  for (let at = nextTick(plan, now); at !== undefined && !signal.aborted; at = nextTick(plan, now)) {
    log.info("next run is planned", { pipeline, at: new Date(at).toISOString() });
    now = await sleepUntil(at, now, clock, signal);
    if (signal.aborted) return;
    if (now < at) continue; // the clock was set back, perhaps by a year: another time may be the next one
    await ask(keyOf(plan, new Date(at).toISOString()));
    await keep(plannedUntil, at);
    now = clock.now();
  }
}

/** Sleeps from the time `now` until `at`, or until the clock has been set back; returns the time then. */
async function sleepUntil(at: number, now: number, clock: Clock, signal: AbortSignal): Promise<number> {
  for (let last = now; now < at && now >= last && !signal.aborted; now = clock.now()) {
    last = now;
    await clock.sleep(Math.min(at - now, LONGEST_SLEEP_MS), signal);
  }
  return now;
}

/** The id of a planned run's request: the same for all services with that plan. */
function keyOf({ pipeline }: Plan, at: string): string {
  return pipeline === DEFAULT_PIPELINE ? `schedule/${at}` : `schedule/${pipeline}/${at}`;
}

/** The last planned time after `until` and up to `now` that is recent enough to catch up. */
function missedTick(plan: Plan, until: number | undefined, now: number): number | undefined {
  if (until === undefined) return undefined;
  let missed: number | undefined;
  let at = nextTick(plan, Math.max(until, now - plan.SCHEDULE_CATCH_UP_HOURS * 3_600_000));
  for (; at !== undefined && at <= now; at = nextTick(plan, at)) missed = at;
  return missed;
}

async function keep(plannedUntil: PlannedUntil, at: number): Promise<void> {
  try {
    await plannedUntil.write(at);
  } catch (error) {
    log.warning("cannot keep the last planned time; after a restart its run may be requested again", {
      reason: messageOf(error),
    });
  }
}

async function request(
  { pipeline }: Plan,
  key: string,
  channel: Channel,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const until = clock.now() + ASK_FOR_MS;
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      const runId = await tell(channel, { requestedBy: "schedule", actor: "schedule", key, pipeline });
      log.info("planned run requested", { run_id: runId, key });
      return;
    } catch (error) {
      if (error instanceof RunActive) {
        log.info("planned run skipped, as another one is active", { key, active_run: error.activeRunId });
        return;
      }
      if (!(error instanceof TransientError)) throw error;
      if (clock.now() >= until) {
        log.error("planned run skipped, as the channel stayed unreachable", { key, reason: error.message });
        return;
      }
      log.warning("channel is unreachable, the planned run will be requested again", {
        key,
        reason: error.message,
      });
      await clock.sleep(backOff(failures, { maxMs: 30_000 }), signal);
    }
  }
}
