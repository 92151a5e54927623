/** Rows of runs, files, deliveries, records, holds and notifications. All engines return the same. */
import { Completeness, type Decision, type Phase, type RunStatus } from "../contracts/messages.ts";
import type { FileKind } from "../contracts/names.ts";

/** The id of a record is its file's id times this number, plus its line. */
export const LINES_PER_FILE = 1_000_000_000;

/** `PENDING` from the start of a delivery until its outcome. */
export type DeliveryState = "PENDING" | "DELIVERED" | "NOT_CONFIGURED" | "FAILED";

/** A row of `etl_runs`. Times are ISO 8601 UTC with milliseconds. */
export interface RunRow {
  /** Number, in order of arrival. */
  readonly id: number;
  /** When the run was requested, or first seen. Never changes. */
  readonly run_timestamp: string;
  /** Null until the run is loaded, like the next four. */
  readonly raw_file: string | null;
  /** The file of valid records. */
  readonly processed_file: string | null;
  /** The file of invalid records. */
  readonly dlq_file: string | null;
  /** Records of `processed_file`. */
  readonly valid_count: number | null;
  /** Records of `dlq_file`. */
  readonly invalid_count: number | null;
  /** The run's id in messages. */
  readonly run_id: string;
  readonly pipeline: string;
  readonly status: RunStatus;
  readonly status_at: string;
  /** The source of the records. */
  readonly source: string | null;
  readonly requested_by: string | null;
  /** When the first phase started. */
  readonly started_at: string | null;
  /** When all three files were loaded. */
  readonly loaded_at: string | null;
  /** When the run ended. */
  readonly finished_at: string | null;
  /** The run whose dead letters it corrects. */
  readonly correction_of: string | null;
  /** SHA-256 of the lookup that its records were enriched with, if the transformer reported it. */
  readonly lookup_sha256: string | null;
  /** SHA-256 of the rules that its records were validated with, if the transformer reported it. */
  readonly rules_sha256: string | null;
  /** The run that was resumed in its place. */
  readonly superseded_by: string | null;
  readonly failure_phase: Phase | null;
  readonly failure_reason: string | null;
  /** 1 if another request can succeed without any change. */
  readonly failure_retryable: 0 | 1 | null;
  /** How far the delivery is. */
  readonly delivery_state: DeliveryState | null;
  /** The last error. */
  readonly delivery_error: string | null;
  /** When all files were verified on the server. */
  readonly delivered_at: string | null;
  /** The range of changes that was asked for, as the JSON of a `SinceRange`; null if everything was. */
  readonly since: string | null;
  /** As JSON; see `completenessOf`. */
  readonly completeness: string | null;
}

export interface FileRow {
  /** Its number; the ids of its records begin with it. */
  readonly id: number;
  readonly run_id: string;
  readonly pipeline: string;
  readonly kind: FileKind;
  /** Its path, as in messages. */
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly records: number;
  readonly loaded_at: string;
  /** When retention removed it from the disk; null before. */
  readonly removed_at: string | null;
  /** When its records were removed from the store, except those still needed; null before. */
  readonly trimmed_at: string | null;
  /** How many of its records are kept; null if all are. */
  readonly kept: number | null;
}

/** A file on the SFTP server. */
export interface DeliveryRow {
  readonly id: number;
  readonly run_id: string;
  readonly kind: FileKind | "manifest";
  readonly name: string;
  /** Its path on the server. */
  readonly remote_path: string;
  /** Of the local file, before encryption. */
  readonly sha256: string;
  readonly bytes: number;
  /** Whether its content was read back, or only its size compared. */
  readonly verified: "content" | "size";
  /** 1 if the file on the server is encrypted. */
  readonly encrypted: 0 | 1;
  /** SHA-256 of the encrypted file, if it is encrypted. */
  readonly sealed_sha256: string | null;
  /** When it was verified on the server. */
  readonly delivered_at: string;
}

/** How many of the announced records arrived; undefined if unknown. */
export function completenessOf({ completeness }: RunRow): Completeness | undefined {
  return completeness === null ? undefined : Completeness.safeParse(JSON.parse(completeness)).data;
}

/** Selects runs; all given conditions must hold. */
export interface RunFilter {
  readonly pipeline?: string | undefined;
  /** Runs with one of these statuses. An empty list matches no run. */
  readonly status?: readonly RunStatus[] | undefined;
  /** `run_timestamp` at or after this. */
  readonly since?: string | undefined;
  /** `run_timestamp` before this. */
  readonly until?: string | undefined;
  /** Only those that reached the load. */
  readonly loaded?: boolean | undefined;
}

/** A position in the order of runs. */
export interface RunCursor {
  /** The run's `run_timestamp`. */
  readonly run_timestamp: string;
  /** The run's `id`. */
  readonly id: number;
}

/** A page of ordered rows: those after one position and before another, at most `limit` from the start or from the end. */
export interface Page<Cursor> {
  /** The maximum number of rows. */
  readonly limit: number;
  /** Only rows that come later in the order. */
  readonly after?: Cursor | undefined;
  /** Only rows that come earlier in the order. */
  readonly before?: Cursor | undefined;
  /** Which end to keep if there are more than `limit` rows. Default `start`. */
  readonly from?: "start" | "end" | undefined;
}

/** A page of ordered rows by their number. */
export interface OffsetPage {
  /** The maximum number of rows. */
  readonly limit: number;
  /** How many rows come before it. */
  readonly offset: number;
}

/** A value of a table. Whole numbers beyond 2^53 are `bigint`. */
export type Cell = string | number | bigint | boolean | Uint8Array | null;

/** Rows of a view: the names of the columns in order, and an array of values for each row. */
export interface Table {
  readonly columns: string[];
  /** One array for each row, in the order of `columns`. */
  readonly rows: Cell[][];
}

export interface RecordRow {
  /** Unique in its table; later records have larger ones. */
  readonly record_id: number;
  readonly run_id: string;
  /** Its line in the file, from 1. */
  readonly line: number;
  /** When its file was loaded. */
  readonly insertion_date: string;
  /**
   * The masked record. Whole numbers beyond 2^53 are raw JSON values, which `JSON.stringify` writes with all their digits. A line that isn't JSON
   * reads as `{ raw_line: … }`.
   */
  readonly record: unknown;
}

export interface RecordFilter {
  /** Only those of this run. */
  readonly runId?: string | undefined;
  /**
   * Only invalid records with this problem. `age: greater than 65` (field and kind, as in the reasons of a run) finds `age: 70 is greater than 65`;
   * text without `: ` matches anywhere. Case is ignored.
   */
  readonly reason?: string | undefined;
}

/** A row of `holds`. Times are ISO 8601 UTC with milliseconds. */
export interface HoldRow {
  readonly run_id: string;
  readonly pipeline: string;
  /** The figures that exceed a limit, with that limit. */
  readonly reason: string;
  /** The message that announced its files, as JSON, with the SHA-256 of each. */
  readonly message: string;
  /** The run that it was compared with. */
  readonly compared_with: string | null;
  readonly held_at: string;
  /** Null until a decision. */
  readonly decision: Decision | null;
  readonly decided_by: string | null;
  readonly decided_at: string | null;
  /** The message that asked for the decision. */
  readonly order_id: string | null;
}

/** A run to hold. */
export type Held = Pick<HoldRow, "run_id" | "pipeline" | "reason" | "message" | "compared_with"> & {
  /** Some of its invalid records, as lines. */
  readonly samples: readonly string[];
};

/** `WAITING` for its first or next attempt, `SENT`: accepted by the receiver, `FAILED`: not retried. */
export const NOTIFICATION_STATES = ["WAITING", "SENT", "FAILED"] as const;
export type NotificationState = (typeof NOTIFICATION_STATES)[number];

/** How many notifications are kept. */
export const MOST_NOTIFICATIONS = 1_000;

/** A notification to one receiver. Times are ISO 8601 UTC with milliseconds. */
export interface NotificationRow {
  /** Number, in the order in which notifications were ordered. */
  readonly id: number;
  readonly webhook_id: string;
  /** The receiver's key: see `ReceiverName`. */
  readonly receiver: string;
  readonly host: string;
  readonly type: string;
  readonly pipeline: string | null;
  readonly run_id: string | null;
  readonly text: string;
  readonly happened_at: string;
  readonly state: NotificationState;
  /** The number of attempts. */
  readonly attempts: number;
  readonly tried_at: string | null;
  /** The outcome of the last attempt, such as `HTTP 204`. */
  readonly result: string | null;
}

/** The state of the lateness check of a pipeline. */
export interface WatchedSchedule {
  /** The schedule; after it changes, earlier times don't count. */
  readonly schedule: string;
  /** Planned times up to this one were checked. */
  readonly judged_until: string;
  /** When a late run was last reported. */
  readonly late_at: string | null;
}

/** The size of the store, and how fast it grows. */
export interface Growth {
  /** Bytes in use. */
  readonly bytes: number;
  /** Growth in bytes per day, over at most the last 30 days with loads; null if less than a day of loads is known. */
  readonly bytesPerDay: number | null;
  /** Free bytes of its disk; null if unknown. */
  readonly freeBytes: number | null;
  /** Days until the disk is full at this growth, if nothing else grows; null if the store doesn't grow or its growth is unknown. */
  readonly daysLeft: number | null;
  /** A one-time step for a person, after which free space returns to the disk; undefined if that happens automatically. */
  readonly toGiveBack: string | undefined;
}

/** What a trim removed. */
export interface Trimmed {
  /** Runs whose records were removed. */
  readonly runs: number;
  readonly records: number;
  readonly events: number;
}
