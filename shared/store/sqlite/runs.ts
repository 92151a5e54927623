/**
 * Reading runs, newest first, and what belongs to them. Reads for several runs at once take one query.
 *
 * @module
 */
import { Completeness, type Phase, type RunEvent, type RunStatus } from "../../contracts/messages.ts";
import type { FileKind } from "../../contracts/names.ts";
import type { Bindable, Database } from "../../sqlite/database.ts";

/** How far a delivery is: `PENDING` from its start until it is known. */
export type DeliveryState = "PENDING" | "DELIVERED" | "NOT_CONFIGURED" | "FAILED";

/** A row of `etl_runs`. Times are ISO 8601 UTC with milliseconds. */
export interface RunRow {
  /** Number in order of arrival. */
  readonly id: number;
  /** When the run was asked for, or first heard of. Never changes. */
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
  /** 1 where asking again can help without changing anything first. */
  readonly failure_retryable: 0 | 1 | null;
  /** How far the delivery is. */
  readonly delivery_state: DeliveryState | null;
  /** What was last wrong with it. */
  readonly delivery_error: string | null;
  /** When all files were found on the server. */
  readonly delivered_at: string | null;
  /** Where only what changed was asked for: a `SinceRange`, as JSON. */
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

export class Runs {
  /** Reads from `db`. */
  constructor(private readonly db: Database) {}

  /** Newest first, from `offset` on. */
  list(filter: RunFilter, page: { limit: number; offset: number }): RunRow[] {
    const where = conditions(filter);
    return this.db.all<RunRow>(
      `SELECT * FROM etl_runs ${where.sql} ORDER BY run_timestamp DESC, id DESC LIMIT ? OFFSET ?`,
      ...where.values,
      page.limit,
      page.offset,
    );
  }

  /** How many there are. Of all runs, and of all that were loaded, asking takes no longer where there are many. */
  count(filter: RunFilter = {}): number {
    const { loaded, ...others } = filter;
    if (loaded && conditions(others).sql === "") return this.#countLoaded();
    const where = conditions(filter);
    return this.db.get<{ n: number }>(`SELECT count(*) AS n FROM etl_runs ${where.sql}`, ...where.values)!.n;
  }

  /** A page of the order newest first; as fast at its end as at its start. */
  page(filter: RunFilter, page: Page<RunCursor>): RunRow[] {
    const where = conditions(filter, page);
    const order = page.from === "end" ? "ASC" : "DESC";
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs ${where.sql} ORDER BY run_timestamp ${order}, id ${order} LIMIT ?`,
      ...where.values,
      page.limit,
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  /** The run with this number. */
  byId(id: number): RunRow | undefined {
    return this.db.get<RunRow>("SELECT * FROM etl_runs WHERE id = ?", id);
  }

  /** The run with this `run_id`. */
  byRunId(runId: string): RunRow | undefined {
    return this.db.get<RunRow>("SELECT * FROM etl_runs WHERE run_id = ?", runId);
  }

  /** The run that the raw file `name` belongs to: it has loaded the file, or its extraction has told of it. Looks through all runs. */
  byRawFile(name: string): RunRow | undefined {
    return this.db.get<RunRow>(
      `SELECT * FROM etl_runs AS run WHERE raw_file = ?1 OR (raw_file IS NULL AND EXISTS (
         SELECT 1 FROM run_events WHERE run_id = run.run_id AND type = 'phase_completed' AND phase = 'EXTRACTING'
           AND json_extract(body, '$.detail.raw_file') = ?1))
       ORDER BY id LIMIT 1`,
      name,
    );
  }

  /** The run of a pipeline that was loaded last, apart from run `except` and from corrections. */
  lastLoaded(pipeline: string, except = ""): RunRow | undefined {
    return this.db.get<RunRow>(
      `SELECT * FROM etl_runs WHERE pipeline = ? AND loaded_at IS NOT NULL AND correction_of IS NULL AND run_id <> ?
       ORDER BY run_timestamp DESC, id DESC LIMIT 1`,
      pipeline,
      except,
    );
  }

  /** The runs with these `run_id`s, as far as they are there. */
  byRunIds(runIds: readonly string[]): Map<string, RunRow> {
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs WHERE run_id IN ${LISTED}`,
      JSON.stringify(runIds),
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  /** Each run's events, oldest first. */
  eventsOf(runIds: readonly string[]): Map<string, RunEvent[]> {
    const rows = this.db.all<{ run_id: string; body: string }>(
      `SELECT run_id, body FROM run_events WHERE run_id IN ${LISTED} ORDER BY run_id, at, seq`,
      JSON.stringify(runIds),
    );
    return new Map(
      [...grouped(rows, runIds)].map(([runId, events]) => [runId, events.map((e) => JSON.parse(e.body))]),
    );
  }

  /** The loaded files of each run, in the order raw, processed, invalid. */
  filesOf(runIds: readonly string[]): Map<string, FileRow[]> {
    const rows = this.db.all<FileRow>(
      `SELECT * FROM run_files WHERE run_id IN ${LISTED} ORDER BY run_id, id`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds);
  }

  /** The processed file of each run that is loaded. */
  loadedFiles(): string[] {
    return this.db.all<{ processed_file: string }>(
      "SELECT processed_file FROM etl_runs WHERE loaded_at IS NOT NULL AND processed_file IS NOT NULL",
    ).map(({ processed_file }) => processed_file);
  }

  /** Each run's files on the SFTP server. */
  deliveriesOf(runIds: readonly string[]): Map<string, DeliveryRow[]> {
    const rows = this.db.all<DeliveryRow>(
      `SELECT * FROM deliveries WHERE run_id IN ${LISTED} ORDER BY run_id, id`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds);
  }

  /** Where files with this content were delivered, newest first. */
  deliveriesOfContent(sha256: string): DeliveryRow[] {
    return this.db.all<DeliveryRow>("SELECT * FROM deliveries WHERE sha256 = ? ORDER BY id DESC", sha256);
  }

  /** The runs that correct each run, newest first. */
  correctionsOf(runIds: readonly string[]): Map<string, RunRow[]> {
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs WHERE correction_of IN ${LISTED} ORDER BY run_timestamp DESC, id DESC`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds, (row) => row.correction_of!);
  }

  /** All but the few that weren't: SQLite goes through what it counts one by one, but for the rows of a whole table. */
  #countLoaded(): number {
    return this.db.get<{ n: number }>(
      `SELECT (SELECT count(*) FROM etl_runs) -
         (SELECT count(*) FROM etl_runs WHERE (loaded_at IS NULL) = 1) AS n`,
    )!.n;
  }
}

/** A list of ids, bound as a JSON array: one statement serves every length. */
const LISTED = "(SELECT value FROM json_each(?))";

function conditions(filter: RunFilter, page?: Page<RunCursor>): { sql: string; values: Bindable[] } {
  const terms: string[] = [];
  const values: Bindable[] = [];
  const add = (term: string, ...bound: Bindable[]) => {
    terms.push(term);
    values.push(...bound);
  };
  if (filter.pipeline !== undefined) add("pipeline = ?", filter.pipeline);
  if (filter.status?.length === 1) add("status = ?", filter.status[0]);
  else if (filter.status !== undefined) add(`status IN ${LISTED}`, JSON.stringify(filter.status));
  if (filter.since !== undefined) add("run_timestamp >= ?", filter.since);
  if (filter.until !== undefined) add("run_timestamp < ?", filter.until);
  if (filter.loaded) add("loaded_at IS NOT NULL");
  if (page?.after !== undefined) add("(run_timestamp, id) < (?, ?)", page.after.run_timestamp, page.after.id);
  if (page?.before !== undefined) {
    add("(run_timestamp, id) > (?, ?)", page.before.run_timestamp, page.before.id);
  }
  return { sql: terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`, values };
}

function grouped<Row extends { run_id: string }>(
  rows: readonly Row[],
  runIds: readonly string[],
  keyOf: (row: Row) => string = (row) => row.run_id,
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>(runIds.map((id) => [id, []]));
  for (const row of rows) groups.get(keyOf(row))?.push(row);
  return groups;
}
