/** Computes a run's row from its events, in whatever order they arrive. */
import { Completeness, isFinal, PHASES, type RunEvent, statusAfter } from "../contracts/messages.ts";
import type { DeliveryState, RunRow } from "./rows.ts";

/** The columns of `etl_runs` that are computed from a run's events; see `RunRow`. If a run continued, `finished_at` is null again. */
export interface RunState extends
  Pick<
    RunRow,
    | "status"
    | "status_at"
    | "source"
    | "requested_by"
    | "started_at"
    | "finished_at"
    | "correction_of"
    | "superseded_by"
    | "failure_phase"
    | "failure_reason"
    | "delivery_state"
    | "delivery_error"
    | "delivered_at"
    | "since"
    | "completeness"
  > {
  /** Null until an event names it. */
  readonly pipeline: string | null;
  /** Whether another request can succeed without any change. */
  readonly failure_retryable: boolean | null;
}

/**
 * Whether a long wait repeats events of this type. Such an event, if later than all known ones of its run, is applied to the known state in one step,
 * without reading the others.
 */
export function isRepeated({ type }: RunEvent): boolean {
  return type === "phase_started" || type === "phase_retrying";
}

/** The state after the events of a run, given in any order, starting at `from`. */
export function stateAfter(events: readonly RunEvent[], from: RunState = NOTHING_KNOWN): RunState {
  return events.toSorted(inTime).reduce(step, from);
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

/** The columns of a state. */
export const STATE_COLUMNS = Object.keys(NOTHING_KNOWN) as (keyof RunState)[];

const GOES_ON = { superseded_by: null, failure_phase: null, failure_reason: null, failure_retryable: null };

/** The state after one more event, which is later than all events behind `before`. */
export function step(before: RunState, event: RunEvent): RunState {
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

/** Orders events by time, within a millisecond by their order in a run, and then by id, so that the order is always the same. */
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

/** The completeness that the extraction reported, as JSON in the form that the load writes. */
function completenessIn({ phase, detail }: Extract<RunEvent, { type: "phase_completed" }>): string | null {
  const { data } = Completeness.safeParse(phase === "EXTRACTING" ? detail : undefined);
  return data === undefined ? null : JSON.stringify(data);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
