/**
 * Rows of runs and what belongs to them, of records, holds and notifications. The same from every engine.
 *
 * @module
 */
import { Completeness, type Decision, type Phase, type RunStatus } from "../contracts/messages.ts";
import type { FileKind } from "../contracts/names.ts";

/** Ids of a file's records: the file's id times this, plus the line. */
export const LINES_PER_FILE = 1_000_000_000;

/** `PENDING` from the start of a delivery until its outcome. */
export type DeliveryState = "PENDING" | "DELIVERED" | "NOT_CONFIGURED" | "FAILED";

/** A row of `etl_runs`. Times are ISO 8601 UTC with milliseconds. */
export interface RunRow {
  /** Number in order of arrival. */
  readonly id: number;
  /** When the run was requested, or first seen. Never changes. */
  readonly run_timestamp: string;
  /** Null until it is loaded, as the next four. */
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
  /** Where the records came from. */
  readonly source: string | null;
  readonly requested_by: string | null;
  /** When the first phase started. */
  readonly started_at: string | null;
  /** When all three files were loaded. */
  readonly loaded_at: string | null;
  /** When it came to its end. */
  readonly finished_at: string | null;
  /** The run whose dead letters it corrects. */
  readonly correction_of: string | null;
  /** SHA-256 of the lookup that its records were enriched with, where the transformer told it. */
  readonly lookup_sha256: string | null;
  /** SHA-256 of the rules that they were judged by, where the transformer told it. */
  readonly rules_sha256: string | null;
  /** The run that was resumed in its place. */
  readonly superseded_by: string | null;
  readonly failure_phase: Phase | null;
  readonly failure_reason: string | null;
  /** 1 where another request can succeed without any change. */
  readonly failure_retryable: 0 | 1 | null;
  /** How far the delivery is. */
  readonly delivery_state: DeliveryState | null;
  /** The last error. */
  readonly delivery_error: string | null;
  /** When all files were found on the server. */
  readonly delivered_at: string | null;
  /** The changes that were asked for, if not everything: a `SinceRange`, as JSON. */
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
  /** When retention removed it from the disk; null while it is to be there. */
  readonly removed_at: string | null;
  /** When its records were removed from the store, but for those that are needed; null while all are there. */
  readonly trimmed_at: string | null;
  /** How many of its records are there; null where all are. */
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
  /** Whether its content was read back, or just its size compared. */
  readonly verified: "content" | "size";
  /** 1 where it is encrypted there. */
  readonly encrypted: 0 | 1;
  /** SHA-256 of the encrypted file, where it is one. */
  readonly sealed_sha256: string | null;
  /** When it was found there. */
  readonly delivered_at: string;
}

/** How many of the announced records arrived; undefined where it isn't known. */
export function completenessOf({ completeness }: RunRow): Completeness | undefined {
  return completeness === null ? undefined : Completeness.safeParse(JSON.parse(completeness)).data;
}

/** Which runs. All that is given has to hold. */
export interface RunFilter {
  readonly pipeline?: string | undefined;
  /** With one of these. An empty list lets none through. */
  readonly status?: readonly RunStatus[] | undefined;
  /** `run_timestamp` at or after this. */
  readonly since?: string | undefined;
  /** `run_timestamp` before this. */
  readonly until?: string | undefined;
  /** Only those that reached the load. */
  readonly loaded?: boolean | undefined;
}

/** A place in the order of runs. */
export interface RunCursor {
  /** The run's `run_timestamp`. */
  readonly run_timestamp: string;
  /** The run's `id`. */
  readonly id: number;
}

/** A page of an order: the rows after one place and before another, `limit` of them from the start or from the end. */
export interface Page<Cursor> {
  /** Most rows. */
  readonly limit: number;
  /** Only rows that come later in the order. */
  readonly after?: Cursor | undefined;
  /** Only rows that come earlier in the order. */
  readonly before?: Cursor | undefined;
  /** Which end to keep where there are more than `limit`. Default `start`. */
  readonly from?: "start" | "end" | undefined;
}

/** What a table holds in one place. Whole numbers beyond 2^53 come as `bigint`. */
export type Cell = string | number | bigint | boolean | Uint8Array | null;

/** Rows as people see them: the names of the columns in order, and a value for each. */
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
   * The masked record. Whole numbers beyond 2^53 are values that `JSON.stringify` writes with all their digits. A line that is no JSON reads
   * as `{ raw_line: … }`.
   */
  readonly record: unknown;
}

export interface RecordFilter {
  /** Only those of this run. */
  readonly runId?: string | undefined;
  /**
   * Only invalid records with this problem: `age: greater than 65` finds `age: 70 is greater than 65` (field and kind, as in the reasons of
   * a run); text without `: ` may stand anywhere. Case is ignored.
   */
  readonly reason?: string | undefined;
}

/** A row of `holds`. Times are ISO 8601 UTC with milliseconds. */
export interface HoldRow {
  readonly run_id: string;
  readonly pipeline: string;
  /** What is beyond which limit, in numbers. */
  readonly reason: string;
  /** The message that announced its files, as JSON, with the SHA-256 of each. */
  readonly message: string;
  /** The run that it was compared with. */
  readonly compared_with: string | null;
  readonly held_at: string;
  /** Null while nobody has decided. */
  readonly decision: Decision | null;
  readonly decided_by: string | null;
  readonly decided_at: string | null;
  /** The message that asked for the decision. */
  readonly order_id: string | null;
}

/** A run to hold. */
export type Held = Pick<HoldRow, "run_id" | "pipeline" | "reason" | "message" | "compared_with"> & {
  /** Some of its invalid records, a line each. */
  readonly samples: readonly string[];
};

/** `WAITING` for its first or another try, `SENT`: accepted by the receiver, `FAILED`: not tried again. */
export const NOTIFICATION_STATES = ["WAITING", "SENT", "FAILED"] as const;
export type NotificationState = (typeof NOTIFICATION_STATES)[number];

/** How many notifications are kept. */
export const MOST_NOTIFICATIONS = 1_000;

/** A notification to one receiver. Times are ISO 8601 UTC with milliseconds. */
export interface NotificationRow {
  /** Number in the order in which they were ordered. */
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
  /** How often it was tried. */
  readonly attempts: number;
  readonly tried_at: string | null;
  /** The outcome of the last try, such as `HTTP 204`. */
  readonly result: string | null;
}

/** How lateness of a pipeline's runs is judged. */
export interface WatchedSchedule {
  /** What is planned; where that changes, earlier times don't count. */
  readonly schedule: string;
  /** Planned times up to this one were judged. */
  readonly judged_until: string;
  /** When a late run was last reported. */
  readonly late_at: string | null;
}

/** The size of the store, and how fast it grows. */
export interface Growth {
  /** Bytes in use. */
  readonly bytes: number;
  /** Growth in bytes a day, over the last days with loads, at most 30; null where less than a day of loads is known. */
  readonly bytesPerDay: number | null;
  /** Free bytes of its disk; null where the engine can't tell. */
  readonly freeBytes: number | null;
  /** Days until the disk is full at this growth, if nothing else grows; null where the store doesn't grow, or nothing is known. */
  readonly daysLeft: number | null;
  /** A one-time step by which a person lets the disk get free room back; undefined where that happens by itself. */
  readonly toGiveBack: string | undefined;
}

/** What a trim removed. */
export interface Trimmed {
  /** Runs whose records went. */
  readonly runs: number;
  readonly records: number;
  readonly events: number;
}
