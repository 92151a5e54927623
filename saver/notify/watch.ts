/**
 * Detects what no event reports: late runs, pending deliveries, and new dead letters. It reads the database and the
 * channel, so it works while other services are down, and after a restart.
 */
import { getLogger } from "@logtape/logtape";
import { keepDoing } from "../../shared/actor/backoff.ts";
import { compose } from "../../shared/actor/message.ts";
import { type Channel, isAlive } from "../../shared/channel/channel.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { lastTick, type Timetable } from "../../shared/pipeline/schedule.ts";
import { type News, orderOf } from "../../shared/contracts/notification_order.ts";
import type { RunRow } from "../../shared/store/rows.ts";
import type { Store } from "../../shared/store/store.ts";

export interface WatchParts {
  readonly store: Store;
  readonly channel: Channel;
  readonly timetables: readonly Timetable[];
  /** Pipelines whose definition is unusable now; their last known schedule is used. */
  readonly broken: readonly string[];
  /** How long after a planned time a run is late, in milliseconds. */
  readonly lateAfterMs: number;
  readonly publicUrl: string | undefined;
}

const MINUTE_MS = 60_000;

/** A delivery that waits this long is reported. */
const PENDING_MS = 15 * MINUTE_MS;

/** If an event waits longer than this to be recorded, its run may already have completed. */
const UNRECORDED_MS = MINUTE_MS / 2;

/** Older dead letters aren't reported: the channel remembers orders for seven days only. */
const REMEMBERED_MS = 6 * 24 * 60 * MINUTE_MS;

const RUNS_AT_ONCE = 1_000;

/** How many runs are searched for a completed one. */
const RUNS_BACK = 100;

/** Checks now and every minute, until `signal`. */
export async function keepWatching(parts: WatchParts, signal: AbortSignal): Promise<void> {
  const log = getLogger(["etl", "saver", "notify"]);
  await keepDoing(
    () => look(parts, Date.now()),
    MINUTE_MS,
    signal,
    (error) => log.warning("cannot check for late runs", { reason: messageOf(error) }),
  );
}

/** Orders the notifications that are due at `now`. A repeated call orders nothing new. */
export async function look(parts: WatchParts, now: number): Promise<void> {
  await order(parts, await pendingDeliveries(parts.store, now));
  await order(parts, await newDeadLetters(parts.channel, now));
  const { oldestAgeMs = 0 } = await parts.channel.mailbox("channel:run_events").state();
  if (oldestAgeMs < UNRECORDED_MS) await tellLateRuns(parts, now);
}

async function order({ store, channel, publicUrl }: WatchParts, all: readonly News[]): Promise<void> {
  for (const news of all) {
    const fields = orderOf(news, publicUrl);
    if (await store.notifications.has(fields.webhook_id)) continue;
    await channel.publish(compose("channel:notify", `${news.type}/${fields.webhook_id}`, fields));
  }
}

/**
 * Judges the last planned time of each pipeline that is far enough in the past, once. A notification also covers the
 * planned times that follow it within the same span.
 */
async function tellLateRuns(parts: WatchParts, now: number): Promise<void> {
  const { store, lateAfterMs } = parts;
  const lost: Timetable[] = [];
  for (const pipeline of parts.broken) {
    const known = await store.notifications.watched(pipeline);
    if (known !== undefined) lost.push({ pipeline, ...JSON.parse(known.schedule) });
  }
  for (const { pipeline, ...timetable } of [...parts.timetables, ...lost]) {
    const schedule = JSON.stringify(timetable);
    const known = await store.notifications.watched(pipeline);
    const isWatched = known?.schedule === schedule && Date.parse(known.judged_until) <= now;
    if (!isWatched) { // new, with another schedule, or written by a clock that was ahead
      const watched = { schedule, judged_until: iso(now), late_at: known?.late_at ?? null };
      await store.keepWatched(pipeline, watched);
      continue;
    }
    const planned = lastTick(timetable, now - lateAfterMs);
    if (planned === undefined || planned <= Date.parse(known.judged_until)) continue;
    const isDone = await hasCompletedSince(store, pipeline, planned);
    if (!isDone) await order(parts, [await lateRun(parts, pipeline, planned, now)]);
    const watched = isDone
      ? { ...known, judged_until: iso(planned) }
      : { schedule, judged_until: iso(Math.min(planned + lateAfterMs, now)), late_at: iso(now) };
    await store.keepWatched(pipeline, watched);
  }
}

/** Whether a run that reads the source has completed at `time` or later. */
async function hasCompletedSince({ runs }: Store, pipeline: string, time: number): Promise<boolean> {
  const completed = await runs.page({ pipeline, status: ["COMPLETED"] }, { limit: RUNS_BACK });
  return completed.some(({ correction_of, finished_at }) =>
    correction_of === null && finished_at !== null && Date.parse(finished_at) >= time
  );
}

async function lateRun(
  { store, channel }: WatchParts,
  pipeline: string,
  planned: number,
  now: number,
): Promise<News> {
  const beats = await channel.beats();
  const isExtracted = beats.some((beat) => beat.actor === "extractor" && isAlive(beat, now));
  const last = (await store.runs.page({ pipeline }, { limit: RUNS_BACK })).find((run) =>
    run.correction_of === null
  );
  const minutes = Math.round((now - planned) / MINUTE_MS);
  return {
    type: "run.late",
    key: `${pipeline}/${iso(planned)}`,
    at: iso(now),
    pipeline,
    runId: last?.run_id,
    says: `No run has completed since ${iso(planned)}, when one was planned, ${minutes} minutes ago. ` +
      (last === undefined ? "No run exists." : `The last one, run ${last.id}, is ${last.status}.`),
    whatToDo: isExtracted
      ? "Look at the run, and at deno task doctor."
      : "No extractor is running: start it. It requests the missed run itself.",
    data: {
      planned: iso(planned),
      minutes,
      last_run: last?.id ?? null,
      last_status: last?.status ?? null,
      extractor: isExtracted ? "running" : "not running",
    },
  };
}

/** For each pipeline the run that has waited longest for its delivery, if that is long enough. */
async function pendingDeliveries({ runs }: Store, now: number): Promise<News[]> {
  const waiting = new Map<string, { run: RunRow; since: RunEvent; others: number }>();
  const page = await runs.list({ status: ["DELIVERY_PENDING", "LOADING"], loaded: true }, {
    limit: RUNS_AT_ONCE,
    offset: 0,
  });
  for (const run of page.toReversed()) {
    const first = waiting.get(run.pipeline);
    if (first !== undefined) first.others += 1;
    else {
      const since = waitsSince((await runs.eventsOf([run.run_id])).get(run.run_id) ?? []);
      if (since === undefined || now - Date.parse(since.published_at) < PENDING_MS) continue;
      waiting.set(run.pipeline, { run, since, others: 0 });
    }
  }
  return [...waiting].map(([pipeline, { run, since, others }]) => ({
    type: "delivery.pending",
    key: since.id,
    at: iso(now),
    pipeline,
    runId: run.run_id,
    says: `The files of run ${run.id} wait for their delivery since ${since.published_at}` +
      `${others === 0 ? "" : `, those of ${others} other run(s) too`}: ${
        run.delivery_error ?? "no try was made"
      }`,
    whatToDo: "Look at the SFTP server, and at deno task doctor. The delivery is retried for a week.",
    data: { run: run.id, since: since.published_at, other_runs: others, reason: run.delivery_error },
  }));
}

/**
 * The event since which the run could have been delivered: the end of its load, or the first event of the last delivery
 * order.
 */
function waitsSince(events: readonly RunEvent[]): RunEvent | undefined {
  const isDelivery = (event: RunEvent) => "phase" in event && event.phase === "DELIVERING";
  const ended = events.findLastIndex((event) =>
    isDelivery(event) && (event.type === "phase_completed" || event.type === "run_failed")
  );
  if (ended >= 0) return events.slice(ended + 1).find(isDelivery);
  return events.findLast((event) => event.type === "phase_completed" && event.phase === "LOADING");
}

/**
 * The channels with new dead letters, with the newest of each. Channels of notifications are left out, as those may be
 * undeliverable.
 */
async function newDeadLetters(channel: Channel, now: number): Promise<News[]> {
  const all: News[] = [];
  for (const name of Object.keys(CHANNELS)) {
    if (name === "channel:notify") continue;
    const mailbox = channel.mailbox(name);
    const [newest] = await mailbox.dead({ limit: 1 });
    if (newest === undefined || now - newest.buriedAt > REMEMBERED_MS) continue;
    const { dead } = await mailbox.state();
    all.push({
      type: "dead_letter.new",
      key: `${name}/${newest.id}/${newest.buriedAt}`,
      at: iso(newest.buriedAt),
      says:
        `A message of ${name} could not be handled after ${newest.attempts} tries; ${dead} dead letter(s) lie there.`,
      whatToDo: "deno task etl dead says why; replay it once the cause is gone, or discard it.",
      page: "/dead",
      data: { channel: name, dead_letters: dead, attempts: newest.attempts },
    });
  }
  return all;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
