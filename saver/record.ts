/**
 * The recorder: keeps the events of runs, and updates each run's row.
 *
 * @module
 */
import { Completeness, isFinal, PHASES, type RunEvent, statusAfter } from "../shared/contracts/messages.ts";
import type { Store } from "../shared/store/sqlite/open.ts";
import { keepEvents, type RunState, writeRunState } from "../shared/store/sqlite/run_writes.ts";
import type { DeliveryState } from "../shared/store/sqlite/runs.ts";
import type { Database } from "../shared/sqlite/database.ts";

/** Keeps one event, as `recordEvents`. */
export function recordEvent(store: Store, event: RunEvent): Promise<void> {
  return recordEvents(store, [event]);
}

/**
 * Keeps events and brings the rows of their runs up to date, all in one transaction. Repeated events change nothing, and the order in which
 * events arrive doesn't matter: a run's row is computed from all that is known of the run, in the order of time.
 *
 * @throws TransientError when the database is locked, or the disk is full or fails.
 */
export async function recordEvents(store: Store, events: readonly RunEvent[]): Promise<void> {
  await store.write((db) => {
    const [event, ...others] = events;
    const before = event !== undefined && others.length === 0 ? stateBefore(db, event) : undefined;
    for (const runId of keepEvents(db, events)) {
      writeRunState(db, runId, before ? step(before, event!) : stateAfter(eventsOf(db, runId)));
    }
  });
}

/**
 * The state of a run whose row follows from its events, if `event` is later than all of them and is one of those that a long wait repeats:
 * then one step leads to the new state, however many events there are.
 */
function stateBefore(db: Database, event: RunEvent): RunState | undefined {
  if (event.type !== "phase_started" && event.type !== "phase_retrying") return undefined;
  const { run_id, published_at } = event;
  const last = db.get<{ at: string }>("SELECT max(at) AS at FROM run_events WHERE run_id = ?", run_id)?.at;
  if (last == null || last >= published_at) return undefined;
  const row = db.get<RunState>("SELECT * FROM etl_runs WHERE run_id = ?", run_id);
  return row && Object.fromEntries(KEYS.map((key) => [key, row[key]])) as unknown as RunState;
}

/** What at least one event of a run, in any order, say about it. */
export function stateAfter(events: readonly RunEvent[]): RunState {
  return events.toSorted(inTime).reduce(step, NOTHING_KNOWN);
}

const NOTHING_KNOWN: RunState = {
  status: "REQUESTED",
  status_at: "",
  pipeline: null,
  source: null,
  requested_by: null,
  started_at: null,
  finished_at: null,
  correction_of: null,
  superseded_by: null,
  failure_phase: null,
  failure_reason: null,
  failure_retryable: null,
  delivery_state: null,
  delivery_error: null,
  delivered_at: null,
  since: null,
  completeness: null,
};

const KEYS = Object.keys(NOTHING_KNOWN) as (keyof RunState)[];

const GOES_ON = { superseded_by: null, failure_phase: null, failure_reason: null, failure_retryable: null };

function step(before: RunState, event: RunEvent): RunState {
  const status = statusAfter(event);
  const state: RunState = {
    ...before,
    ...GOES_ON,
    status,
    status_at: event.published_at,
    pipeline: event.pipeline ?? before.pipeline,
    finished_at: isFinal(status) ? event.published_at : null,
  };
  switch (event.type) {
    case "run_requested":
      return {
        ...state,
        requested_by: event.requested_by,
        correction_of: event.correction_of ?? before.correction_of,
      };
    case "phase_started": {
      const started = { ...state, started_at: before.started_at ?? event.published_at };
      return event.phase === "DELIVERING" ? { ...started, delivery_state: "PENDING" } : started;
    }
    case "phase_retrying":
      return event.phase === "DELIVERING"
        ? { ...state, delivery_state: "PENDING", delivery_error: event.reason }
        : state;
    case "phase_completed":
      if (event.phase === "DELIVERING") return { ...state, ...delivered(before, event) };
      return {
        ...state,
        source: before.source ?? textOf(event.detail.source),
        since: event.detail.since === undefined ? before.since : JSON.stringify(event.detail.since),
        completeness: completenessIn(event) ?? before.completeness,
      };
    case "run_failed": {
      const failed = {
        ...state,
        failure_phase: event.phase,
        failure_reason: event.reason,
        failure_retryable: event.retryable,
      };
      return event.phase === "DELIVERING"
        ? { ...failed, delivery_state: "FAILED", delivery_error: event.reason }
        : failed;
    }
    case "run_superseded":
      return { ...state, superseded_by: event.by, failure_reason: event.reason, failure_retryable: false };
    case "run_cancelled":
      return { ...state, failure_reason: `Cancelled by ${event.requested_by}.`, failure_retryable: false };
    case "run_rejected":
      return { ...state, failure_reason: `Rejected by ${event.requested_by}.`, failure_retryable: false };
    case "run_held":
    case "run_released":
      return state;
  }
}

function delivered(
  before: RunState,
  event: Extract<RunEvent, { type: "phase_completed" }>,
): Pick<RunState, "delivery_state" | "delivery_error" | "delivered_at"> {
  const state: DeliveryState = event.detail.state === "NOT_CONFIGURED" ? "NOT_CONFIGURED" : "DELIVERED";
  return {
    delivery_state: state,
    delivery_error: null,
    delivered_at: state === "DELIVERED" ? event.published_at : before.delivered_at,
  };
}

/** The order of time; of events of one millisecond, the order of a run's life; and then any, as long as it is always the same. */
function inTime(a: RunEvent, b: RunEvent): number {
  return compare(a.published_at, b.published_at) || rank(a) - rank(b) || compare(a.id, b.id);
}

function rank(event: RunEvent): number {
  if (!("phase" in event)) return event.type === "run_requested" ? 0 : 100;
  const within = { phase_started: 1, phase_retrying: 2, phase_completed: 3, run_held: 3, run_failed: 4 };
  return PHASES.indexOf(event.phase) * 10 + within[event.type];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function eventsOf(db: Database, runId: string): RunEvent[] {
  return db.all<{ body: string }>("SELECT body FROM run_events WHERE run_id = ?", runId)
    .map((row) => JSON.parse(row.body));
}

/** What the extraction told, written as the load writes it. */
function completenessIn({ phase, detail }: Extract<RunEvent, { type: "phase_completed" }>): string | null {
  const { data } = Completeness.safeParse(phase === "EXTRACTING" ? detail : undefined);
  return data === undefined ? null : JSON.stringify(data);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
