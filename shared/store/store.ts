/**
 * The port of the store, in terms of runs and records. Each engine has an adapter in its own folder: `sqlite/` and `postgres/`. The port exposes no
 * SQL.
 *
 * Adapters classify errors. A temporary problem (a lock, a server that can't be reached or is read-only) is a TransientError, a full disk NoSpace,
 * and a problem that a person must correct a PermanentError.
 *
 * @module
 */
import type { Decide, RunEvent } from "../contracts/messages.ts";
import type { FileKind, RecordTable } from "../contracts/names.ts";
import type { Notify, ReceiverName } from "../contracts/notifications.ts";
import type {
  ChangeCursor,
  ChangeFilter,
  ChangeRow,
  Conditions,
  CurrentCursor,
  CurrentRow,
  InvalidOfKey,
  Key,
  MoveRow,
  Searchable,
} from "./current_rows.ts";
import type {
  DeliveryRow,
  FileRow,
  Growth,
  Held,
  HoldRow,
  NotificationRow,
  NotificationState,
  OffsetPage,
  Page,
  RecordFilter,
  RecordRow,
  RunCursor,
  RunFilter,
  RunRow,
  Table,
  Trimmed,
  WatchedSchedule,
} from "./rows.ts";
import type { Shown } from "./shown.ts";
import type {
  Delivered,
  FileToLoad,
  LineSource,
  LoadedFile,
  LoadedRun,
  LoadOptions,
  RunToLoad,
} from "./writes.ts";

/** Reads runs, newest first, and what belongs to them. Reads for several runs take one query. */
export interface Runs {
  /** Newest first, from `offset` on. */
  list(filter: RunFilter, page: OffsetPage): Promise<RunRow[]>;
  /** The number of runs. Counting all runs, or all loaded ones, takes constant time. */
  count(filter?: RunFilter): Promise<number>;
  /** A page of runs, newest first. The last page is as fast as the first. */
  page(filter: RunFilter, page: Page<RunCursor>): Promise<RunRow[]>;
  /** The run with this number. */
  byId(id: number): Promise<RunRow | undefined>;
  /** The run with this `run_id`. */
  byRunId(runId: string): Promise<RunRow | undefined>;
  /** The run of the raw file `name`: it has loaded the file, or its extraction has reported it. Searches all runs. */
  byRawFile(name: string): Promise<RunRow | undefined>;
  /** The run of a pipeline that was loaded last, apart from run `except` and from corrections. */
  lastLoaded(pipeline: string, except?: string): Promise<RunRow | undefined>;
  /** Those of the runs with these `run_id`s that exist. */
  byRunIds(runIds: readonly string[]): Promise<Map<string, RunRow>>;
  /** Each run's events, oldest first. */
  eventsOf(runIds: readonly string[]): Promise<Map<string, RunEvent[]>>;
  /** The loaded files of each run, in the order raw, processed, invalid. */
  filesOf(runIds: readonly string[]): Promise<Map<string, FileRow[]>>;
  /** The processed file of each run that is loaded. */
  loadedFiles(): Promise<string[]>;
  /** Each run's files on the SFTP server. */
  deliveriesOf(runIds: readonly string[]): Promise<Map<string, DeliveryRow[]>>;
  /** Where files with this content were delivered, newest first. */
  deliveriesOfContent(sha256: string): Promise<DeliveryRow[]>;
  /** The runs that correct each run, newest first. */
  correctionsOf(runIds: readonly string[]): Promise<Map<string, RunRow[]>>;
}

/** Reads records. Everything is masked, except by methods whose name says otherwise. */
export interface Records {
  /** What is shown of each pipeline, by its name. */
  pipelines(): Promise<ReadonlyMap<string, Shown>>;
  /** All tables of records. */
  tables(): Promise<RecordTable[]>;
  /** Whether a pipeline has this table. */
  has(table: RecordTable): Promise<boolean>;
  /** A page of records in the order in which they were loaded, or, for one run, in the file's order. Cursors are record ids. */
  page(table: RecordTable, filter: RecordFilter, page: Page<number>): Promise<RecordRow[]>;
  /** Those of the records of a kind with these ids, of any pipeline, that exist. */
  byIds(kind: FileKind, ids: readonly number[]): Promise<Map<number, RecordRow>>;
  /** The number of records, of one run or of all. Sums the counts of files, so it takes no scan of records. */
  count(table: RecordTable, runId?: string): Promise<number>;
  /** Rows of the view, as `sqlite3` or `psql` show them: newest load last. */
  rows(table: RecordTable, page: OffsetPage): Promise<Table>;
  /** The raw records of correction runs that correct each of these invalid records, oldest first. */
  correctionsOf(invalidIds: readonly number[]): Promise<Map<number, number[]>>;
  /** The invalid record that each of these raw records of correction runs corrects. */
  correctedBy(rawIds: readonly number[]): Promise<Map<number, number>>;
  /** The text of records with all their personal data, for work on the record itself. Must never be shown or logged. */
  unmaskedTexts(table: RecordTable, ids: readonly number[]): Promise<Map<number, string>>;
  /**
   * The lines of a loaded file with all their personal data, in file order, for comparison with the file. Must never be shown or logged. Blank lines
   * are not stored, so line numbers may have gaps.
   */
  unmaskedLines(
    file: Pick<FileRow, "id" | "kind" | "pipeline">,
  ): AsyncIterableIterator<{ line: number; text: string }>;
}

/** Reads the current state of pipelines, and its changes. Records are masked; masked fields can't be searched. */
export interface Current {
  /** The pipelines that have a current state: their names are those of the tables, `NAME` and `NAME_changes`. */
  pipelines(): Promise<string[]>;
  /** The pipeline and kind of the table of this name (`NAME` or `NAME_changes`), if it exists. */
  table(name: string): Promise<{ pipeline: string; isChanges: boolean } | undefined>;
  /** The searchable fields. */
  fields(pipeline: string): Promise<Searchable[]>;
  /** How many rows `NAME` or `NAME_changes` has. */
  count(name: string): Promise<number>;
  /**
   * A page of the rows that meet all conditions, ordered by the compared field with an index, if any, and then by key.
   *
   * @throws PermanentError for a field that can't be searched.
   */
  page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]>;
  /** Those of the rows with these keys that exist. A key that is a number may be given as text. */
  byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]>;
  /** The changes that runs made to keys, in load order; for one run, by key. */
  changes(pipeline: string, of: ChangeFilter, page: Page<ChangeCursor>): Promise<ChangeRow[]>;
  /** How many keys each run changed in the current state of its pipeline. Runs that haven't been applied to it are omitted. */
  moves(runIds: readonly string[]): Promise<Map<string, MoveRow>>;
  /** The invalid records with a key, newest first, each text once. Searches all invalid records of the pipeline. */
  invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]>;
  /** The raw record that became a run's valid record with this key; undefined if the run has none or isn't kept. */
  rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined>;
  /** Rows of `NAME` or `NAME_changes`, as `sqlite3` or `psql` show them. */
  tableRows(name: string, page: OffsetPage): Promise<Table>;
}

/** Reads notifications, and the state of the lateness checks. */
export interface Notifications {
  /** Newest first, at most `limit` of those before number `before`. */
  list(
    of: { limit: number; before?: number | undefined; webhookId?: string | undefined },
  ): Promise<NotificationRow[]>;
  /** Whether this notification was ordered. */
  has(webhookId: string): Promise<boolean>;
  /** The state of the lateness check of a pipeline; undefined before the first check. */
  watched(pipeline: string): Promise<WatchedSchedule | undefined>;
}

/** Reads holds and the decisions on them. */
export interface Holds {
  /** The hold of a run; undefined if it was never held. */
  of(runId: string): Promise<HoldRow | undefined>;
  /** The holds of those of these runs that were held. */
  ofRuns(runIds: readonly string[]): Promise<Map<string, HoldRow>>;
  /** The hold that blocks other runs of a pipeline: undecided, or released and not loaded yet. */
  inFront(pipeline: string): Promise<HoldRow | undefined>;
  /** The latest hold of each pipeline. */
  latest(): Promise<HoldRow[]>;
  /** The holds that were released and aren't loaded yet. */
  released(): Promise<HoldRow[]>;
  /** Some invalid records of a held run, masked; none after the decision. */
  samples(runId: string): Promise<unknown[]>;
}

/** The reads of the store. Each read sees the data committed when it began, and waits for no writer. */
export interface Reads {
  /** Runs and what belongs to them. */
  readonly runs: Runs;
  /** Records of all kinds. */
  readonly records: Records;
  /** The current states. */
  readonly current: Current;
  /** The notifications. */
  readonly notifications: Notifications;
  /** Runs that were held before their load. */
  readonly holds: Holds;
}

/** The store as a reader opens it. */
export interface ReadStore extends Reads, AsyncDisposable {
  /** Throws if the store doesn't answer. */
  ping(): Promise<void>;
  /** Damage that the engine finds in its data; undefined if none. May read all data. */
  damage(): Promise<string | undefined>;
  /** How the current state of a pipeline differs from its kept runs, as sentences without record data. Reads all of it. */
  problemsOfCurrent(pipeline: string): Promise<string[]>;
  /** The size of the store, and how fast it grows. */
  growth(): Promise<Growth>;
  /** The files whose records `trim` would remove, except those still needed; oldest first. */
  trimmable(before: string): Promise<FileRow[]>;
  /** Changes with every commit: data read under the same version is still current. */
  version(): Promise<string | number>;
}

/** Options of work that can be aborted. */
export interface Stoppable {
  /** Aborts the wait or the work. */
  readonly signal?: AbortSignal | undefined;
}

/** The store as the saver opens it. Several processes may have one each; within a process all actors share one. Each method is atomic. */
export interface Store extends Reads, AsyncDisposable {
  /** Creates the run's row if it is missing, such as for a run that another program started. */
  announceRun(run: RunToLoad): Promise<void>;
  /**
   * Loads a file's lines as records, together with the file's row. Blank lines are skipped, but counted as lines. A file that is already loaded isn't
   * loaded again; if its SHA-256 was announced, it isn't read either.
   *
   * @throws PermanentError if the run's file of this kind was loaded with other content, or the number of records isn't the announced one.
   * @throws whatever `lines` throws, such as for bytes other than the announced ones. Nothing of the file is kept then.
   */
  loadFile(file: FileToLoad, lines: LineSource, options?: LoadOptions): Promise<LoadedFile>;
  /** Marks an announced run as loaded, links corrections, adds columns for new keys, and applies the run to the current state. Idempotent. */
  markLoaded(run: LoadedRun, options?: Stoppable): Promise<void>;
  /**
   * Applies all loaded runs that are missing in the current state: those loaded by older versions, or of a pipeline whose key has changed. Returns
   * their number.
   */
  fillCurrent(options?: Stoppable): Promise<number>;
  /**
   * Removes the records and the events of ended runs older than `before`, in small steps, and frees their space. Records that the current state or a
   * younger run refers to are kept, and so are uncorrected invalid records.
   */
  trim(before: string, options?: Stoppable): Promise<Trimmed>;
  /**
   * Stores events and updates the rows of their runs. Idempotent, and independent of the order of arrival: a run's row is computed from all its
   * events in the order of time.
   */
  record(events: readonly RunEvent[]): Promise<void>;
  /** Stores which files of a run are on the SFTP server, replacing earlier rows of the same files. */
  recordDelivery(runId: string, files: readonly Delivered[]): Promise<void>;
  /** Stores the hold of a run, unless `refuse` throws. No event of the run is stored meanwhile. An existing hold stays unchanged. */
  hold(held: Held, refuse: () => Promise<void>): Promise<void>;
  /** Stores a decision, unless there is one. Returns the hold with the decision that counts; undefined if the run isn't held. */
  decide(
    order: Pick<Decide, "run_id" | "decision" | "requested_by">,
    orderId: string,
  ): Promise<HoldRow | undefined>;
  /**
   * Removes a local file by `remove` and stores the time, unless one is stored. No event or delivery is stored meanwhile, so what `remove` reads
   * stays true. If `remove` returns a reason to keep the file, nothing is stored and the reason is returned.
   */
  removeFile(
    file: number,
    at: string,
    remove: () => Promise<string | undefined>,
    options?: Stoppable,
  ): Promise<string | undefined>;
  /** Stores an order for each of `receivers`; an existing one stays unchanged. The oldest beyond the kept number are removed. */
  noteOrder(order: Notify, receivers: readonly ReceiverName[]): Promise<void>;
  /** Stores the result of an attempt to send notification `webhookId` to the receiver with `key`. */
  noteTry(
    of: { webhookId: string; key: string },
    tried: { state: NotificationState; result: string; at: string },
  ): Promise<void>;
  /** Stores the state of the lateness check of a pipeline. */
  keepWatched(pipeline: string, watched: WatchedSchedule): Promise<void>;
  /**
   * Checks that a file can be loaded.
   *
   * @throws NoSpace if there is no space to load a file of `bytes` bytes. `purpose` completes the message, such as `load data/x.jsonl`.
   */
  needSpace(bytes: number, purpose: string): Promise<void>;
  /** Maintenance between two loads, which limits the growth of the engine's files. */
  tidy(): Promise<void>;
}
