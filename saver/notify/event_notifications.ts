/**
 * The notifications that an event of a run causes: the run failed or is held, its pipeline has recovered, the fields of
 * its source have changed. They depend only on the event and the database, so that a repeated event causes the same
 * ones.
 */
import { DEFAULT_PIPELINE } from "../../shared/contracts/names.ts";
import type { FieldTypes, Phase, RunEvent } from "../../shared/contracts/messages.ts";
import { driftOf, fieldsOf } from "./drift.ts";
import type { News } from "../../shared/contracts/notification_order.ts";
import type { RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** How many earlier runs are searched. */
const RUNS_BACK = 100;

/** Maximum number of field names in a notification, and of characters in each. */
const MOST_NAMES = 20;
const LONGEST_NAME = 64;

const DOING: Record<Phase, string> = {
  EXTRACTING: "while extracting",
  TRANSFORMING: "while transforming",
  LOADING: "while loading",
  DELIVERING: "while delivering",
};

/** The notifications that the recorded `event` causes. */
export async function notificationsFor(
  event: RunEvent,
  store: Pick<ReadStore, "runs" | "notifications">,
): Promise<News[]> {
  const run = await store.runs.byRunId(event.run_id);
  if (run === undefined) return [];
  const about = {
    key: event.id,
    at: event.published_at,
    pipeline: run.pipeline ?? event.pipeline ?? DEFAULT_PIPELINE,
    runId: event.run_id,
  };
  if (event.type === "run_failed" && !event.cancelled) {
    const { phase, reason, retryable } = event;
    return [{
      ...about,
      type: "run.failed",
      says: `Run ${run.id} failed ${DOING[phase]}: ${reason}`,
      whatToDo: retryable && phase === "EXTRACTING"
        ? `Start it again: deno task etl start --pipeline ${about.pipeline}`
        : `Correct what the reason names. Then deno task etl dead lists the message, and dead replay ID tries it again.`,
      data: { run: run.id, phase, reason, retryable },
    }];
  }
  if (event.type === "run_held") {
    return [{
      ...about,
      type: "run.held",
      says: `Run ${run.id} is held before its load: ${event.reason}`,
      whatToDo:
        `Look at it, then deno task etl release ${run.id}, or reject ${run.id}. Later runs of ${about.pipeline} wait.`,
      data: { run: run.id, reason: event.reason },
    }];
  }
  if (event.type !== "phase_completed" || run.correction_of !== null) return [];
  if (event.phase === "TRANSFORMING") {
    const drift = await drifted(event, run, store);
    return drift === undefined ? [] : [{ ...about, ...drift }];
  }
  if (event.phase !== "DELIVERING" || !(await hasRecovered(event, run, store))) return [];
  return [{
    ...about,
    type: "run.recovered",
    says: `Run ${run.id} has completed, the first one after a run that failed, was held or was late.`,
    whatToDo: "Nothing to do.",
    data: { run: run.id, valid: run.valid_count, invalid: run.invalid_count },
  }];
}

/** The runs of the same source that were requested before `run`, newest first. */
async function runsBefore(
  { pipeline, run_timestamp, id }: RunRow,
  { runs }: Pick<ReadStore, "runs">,
): Promise<RunRow[]> {
  return (await runs.page({ pipeline }, { limit: RUNS_BACK, after: { run_timestamp, id } }))
    .filter(({ correction_of }) => correction_of === null);
}

async function drifted(
  event: RunEvent,
  run: RunRow,
  store: Pick<ReadStore, "runs">,
): Promise<Pick<News, "type" | "says" | "whatToDo" | "data"> | undefined> {
  const now = fieldsOf(event);
  if (now === undefined) return undefined;
  for (const earlier of await runsBefore(run, store)) {
    const events = (await store.runs.eventsOf([earlier.run_id])).get(earlier.run_id) ?? [];
    const before = fieldsOf(events.findLast((one) => fieldsOf(one) !== undefined));
    if (before === undefined) continue;
    const { added, gone: missing, changed } = driftOf(before.map(shortened), now.map(shortened));
    const gone = run.since === null ? missing : []; // a run of changed records may lack fields that other records have
    if (added.length + gone.length + changed.length === 0) return undefined;
    const parts = [
      ...(added.length === 0 ? [] : [`new: ${named(added)}`]),
      ...(gone.length === 0 ? [] : [`gone: ${named(gone)}`]),
      ...(changed.length === 0 ? [] : [
        `of another type: ${
          named(changed.map(({ field, before, now }) =>
            `${field} (${before.join(" or ")}, now ${now.join(" or ")})`
          ))
        }`,
      ]),
    ];
    return {
      type: "source.drift",
      says: `The fields of run ${run.id} differ from those of run ${earlier.id}: ${parts.join("; ")}.`,
      whatToDo:
        `Check whether the rules and the readers of the files still fit: deno task etl try ${run.pipeline}`,
      data: {
        run: run.id,
        compared_with: earlier.run_id,
        new: added.slice(0, MOST_NAMES),
        gone: gone.slice(0, MOST_NAMES),
        changed: changed.slice(0, MOST_NAMES),
      },
    };
  }
  return undefined;
}

function shortened({ field, types }: FieldTypes): FieldTypes {
  return { field: field.length <= LONGEST_NAME ? field : `${field.slice(0, LONGEST_NAME)}…`, types };
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES);
  const more = names.length - shown.length;
  return shown.join(", ") + (more === 0 ? "" : ` and ${more} more`);
}

/** Whether this completion is the first one after a run that failed, was held (possibly this one) or was late. */
async function hasRecovered(
  event: RunEvent,
  run: RunRow,
  store: Pick<ReadStore, "runs" | "notifications">,
): Promise<boolean> {
  const isEarlier = (one: RunEvent) => one.id !== event.id && one.published_at <= event.published_at;
  const own = ((await store.runs.eventsOf([run.run_id])).get(run.run_id) ?? []).filter(isEarlier);
  const completed = own.findLastIndex(isCompletion);
  if (own.slice(completed + 1).some(isTrouble)) return true;
  if (completed >= 0) return false; // a repeated delivery
  const { pipeline, run_timestamp } = run;
  const later = await store.runs.page({ pipeline, since: run_timestamp, status: ["COMPLETED"] }, {
    limit: RUNS_BACK,
  });
  if (later.some((one) => one.run_id !== run.run_id && one.finished_at! < event.published_at)) return false;
  const before = await runsBefore(run, store);
  const last = before.findIndex(({ status }) => status === "COMPLETED");
  const since = (last < 0 ? before : before.slice(0, last)).map(({ run_id }) => run_id);
  const events = [...(await store.runs.eventsOf(since)).values()].flat();
  if (events.some(isTrouble)) return true;
  const lateAt = (await store.notifications.watched(pipeline))?.late_at ?? null;
  return lateAt !== null && lateAt <= event.published_at && lateAt > (before[last]?.finished_at ?? "");
}

function isCompletion(event: RunEvent): boolean {
  return event.type === "phase_completed" && event.phase === "DELIVERING";
}

function isTrouble(event: RunEvent): boolean {
  return event.type === "run_held" || (event.type === "run_failed" && !event.cancelled);
}
