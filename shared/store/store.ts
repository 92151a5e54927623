/**
 * The port of the store, in terms of runs and records. Each engine has an adapter in its own folder: `sqlite/` and `postgres/`. No SQL
 * passes this line.
 *
 * Adapters classify errors: a problem that passes (a lock, a server that is away or read-only) is a TransientError, a full disk NoSpace, a
 * problem that a person has to correct a PermanentError.
 *
 * @module
 */
import type { Decide, RunEvent } from "../contracts/messages.ts";
import type { FileKind, RecordTable } from "../contracts/names.ts";
import type { Notify, ReceiverName } from "../contracts/notifications.ts";
import type {
  ChangeCursor,
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

/** Reading runs, newest first, and what belongs to them. Reads for several runs at once take one query. */
export interface Runs {
  /** Newest first, from `offset` on. */
  list(filter: RunFilter, page: { limit: number; offset: number }): Promise<RunRow[]>;
  /** How many there are. Counting all runs, or all loaded ones, takes constant time. */
  count(filter?: RunFilter): Promise<number>;
  /** A page of the order newest first; as fast at its end as at its start. */
  page(filter: RunFilter, page: Page<RunCursor>): Promise<RunRow[]>;
  /** The run with this number. */
  byId(id: number): Promise<RunRow | undefined>;
  /** The run with this `run_id`. */
  byRunId(runId: string): Promise<RunRow | undefined>;
  /** The run of the raw file `name`: it has loaded the file, or its extraction has reported it. Searches all runs. */
  byRawFile(name: string): Promise<RunRow | undefined>;
  /** The run of a pipeline that was loaded last, apart from run `except` and from corrections. */
  lastLoaded(pipeline: string, except?: string): Promise<RunRow | undefined>;
  /** The runs with these `run_id`s, as far as they are there. */
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

/** Reading records. Everything is masked, but for the methods whose name says that it isn't. */
export interface Records {
  /** What is shown of each pipeline, by its name. */
  pipelines(): Promise<ReadonlyMap<string, Shown>>;
  /** Every table of records that there is. */
  tables(): Promise<RecordTable[]>;
  /** Whether a pipeline has this table. */
  has(table: RecordTable): Promise<boolean>;
  /** A page of records in the order in which they were loaded, or, for one run, in the file's order. Cursors are record ids. */
  page(table: RecordTable, filter: RecordFilter, page: Page<number>): Promise<RecordRow[]>;
  /** The records of a kind with these ids, of any pipeline, as far as they are there. */
  byIds(kind: FileKind, ids: readonly number[]): Promise<Map<number, RecordRow>>;
  /** How many records there are, of one run or of all. Counts files, not records. */
  count(table: RecordTable, runId?: string): Promise<number>;
  /** Rows of the view, as everybody sees them with `sqlite3` or `psql`: newest load last. */
  rows(table: RecordTable, page: { limit: number; offset: number }): Promise<Table>;
  /** The raw records of correction runs that correct each of these invalid records, oldest first. */
  correctionsOf(invalidIds: readonly number[]): Promise<Map<number, number[]>>;
  /** The invalid record that each of these raw records of correction runs corrects. */
  correctedBy(rawIds: readonly number[]): Promise<Map<number, number>>;
  /** The text of records with all their personal data, for work on the record itself. Never to be shown or logged. */
  unmaskedTexts(table: RecordTable, ids: readonly number[]): Promise<Map<number, string>>;
  /**
   * The lines of a loaded file with all their personal data, in file order, to be compared with the file. Never to be shown or logged.
   * Blank lines are not kept, so line numbers may have gaps.
   */
  unmaskedLines(
    file: Pick<FileRow, "id" | "kind" | "pipeline">,
  ): AsyncIterableIterator<{ line: number; text: string }>;
}

/** Reading the current state of pipelines, and its changes. Records are masked; masked fields can't be searched. */
export interface Current {
  /** The pipelines that have a current state: their names are those of the tables, `NAME` and `NAME_changes`. */
  pipelines(): Promise<string[]>;
  /** Whether there is a table of this name, and whose: `NAME`, or `NAME_changes`. */
  table(name: string): Promise<{ pipeline: string; isChanges: boolean } | undefined>;
  /** The searchable fields. */
  fields(pipeline: string): Promise<Searchable[]>;
  /** How many rows `NAME` or `NAME_changes` has. */
  count(name: string): Promise<number>;
  /**
   * A page of the rows that meet all conditions, in the order of the indexed field that is compared, if there is one, and of the keys.
   *
   * @throws PermanentError for a field that can't be searched.
   */
  page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]>;
  /** The rows with these keys, as far as they are there. A key that is a number may be given as text. */
  byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]>;
  /** What runs did to keys, in the order in which they were loaded; of one run by key. */
  changes(
    pipeline: string,
    of: { runId?: string | undefined; key?: Key | undefined; change?: ChangeRow["change"] | undefined },
    page: Page<ChangeCursor>,
  ): Promise<ChangeRow[]>;
  /** What each run did to the current state of its pipeline; runs that did nothing yet are left out. */
  moves(runIds: readonly string[]): Promise<Map<string, MoveRow>>;
  /** The invalid records with a key, newest first, each text once. Searches all invalid records of the pipeline. */
  invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]>;
  /** The raw record of a run that became its valid record with this key; undefined where the run has none, or isn't kept. */
  rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined>;
  /** Rows of `NAME` or `NAME_changes`, as everybody sees them with `sqlite3` or `psql`. */
  tableRows(name: string, page: { limit: number; offset: number }): Promise<Table>;
}

/** Reading notifications, and up to which planned time lateness was judged. */
export interface Notifications {
  /** Newest first, at most `limit` of those before number `before`. */
  list(
    of: { limit: number; before?: number | undefined; webhookId?: string | undefined },
  ): Promise<NotificationRow[]>;
  /** Whether it was ordered. */
  has(webhookId: string): Promise<boolean>;
  /** How lateness of a pipeline's runs is judged; undefined where it isn't yet. */
  watched(pipeline: string): Promise<WatchedSchedule | undefined>;
}

/** Reading which runs were held before their load, and what was decided on them. */
export interface Holds {
  /** The hold of a run; undefined where it never was held. */
  of(runId: string): Promise<HoldRow | undefined>;
  /** The holds of these runs, as far as they were held. */
  ofRuns(runIds: readonly string[]): Promise<Map<string, HoldRow>>;
  /** The run of a pipeline that others wait for: undecided, or released and not loaded yet. */
  inFront(pipeline: string): Promise<HoldRow | undefined>;
  /** The hold of each pipeline that came last. */
  latest(): Promise<HoldRow[]>;
  /** Those that were released and aren't loaded yet. */
  released(): Promise<HoldRow[]>;
  /** Some invalid records of a held run, masked; none once it is decided. */
  samples(runId: string): Promise<unknown[]>;
}

/** The reading side; each read sees what was committed when it began, and waits for no writer. */
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

/** The reader's side. */
export interface ReadStore extends Reads, AsyncDisposable {
  /** Throws when the store doesn't answer. */
  ping(): Promise<void>;
  /** Damage that the engine finds in its data; undefined without any. May read all of it. */
  damage(): Promise<string | undefined>;
  /** How the current state of a pipeline differs from its kept runs: sentences without anything of a record. Reads all of it. */
  problemsOfCurrent(pipeline: string): Promise<string[]>;
  /** How large it is, and how fast it grows. */
  growth(): Promise<Growth>;
  /** The files whose records `trim` would remove, oldest first, but for those that are needed. */
  trimmable(before: string): Promise<FileRow[]>;
  /** Differs after every commit: data that was read under the same version is still current. */
  version(): Promise<string | number>;
}

/** Ends a wait or a long piece of work. */
export interface Stoppable {
  /** Aborts it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The saver's side. Several processes may have one each; within a process all share one. Each method takes effect completely, or not at
 * all.
 */
export interface Store extends Reads, AsyncDisposable {
  /** Makes the run's row where it is missing, as for a run that other programs began. */
  announceRun(run: RunToLoad): Promise<void>;
  /**
   * Loads a file's lines as records, together with the row that says so. Blank lines are passed over, but counted as lines.
   * A file that was loaded already is not loaded again, and where its SHA-256 was announced not even read.
   *
   * @throws PermanentError when the run's file of this kind was loaded with other content, or its records aren't as many as announced.
   * @throws whatever `lines` throws, such as that the bytes aren't the announced ones; nothing of the file stays then.
   */
  loadFile(file: FileToLoad, lines: LineSource, options?: LoadOptions): Promise<LoadedFile>;
  /**
   * Notes that all files of an announced run are loaded, links corrections, gives new keys their columns, and moves the current state. May be
   * repeated.
   */
  markLoaded(run: LoadedRun, options?: Stoppable): Promise<void>;
  /**
   * Moves the current state by every loaded run that hasn't moved it: runs that older programs loaded, or of a pipeline with another key
   * since. Answers their number.
   */
  fillCurrent(options?: Stoppable): Promise<number>;
  /**
   * Removes the records and the events of runs that have ended and are older than `before`, in small steps, and gives the room back.
   * Records that the current state or a younger run refers to stay, and so do invalid records that nobody corrected.
   */
  trim(before: string, options?: Stoppable): Promise<Trimmed>;
  /**
   * Keeps events and brings the rows of their runs up to date. Repeated events change nothing, and the order in which events arrive doesn't
   * matter: a run's row is computed from all that is known of the run, in the order of time.
   */
  record(events: readonly RunEvent[]): Promise<void>;
  /** Records the files on the SFTP server of a run, replacing earlier rows of the same files. */
  recordDelivery(runId: string, files: readonly Delivered[]): Promise<void>;
  /** Notes that a run is held, unless `refuse` throws; no event of the run is kept meanwhile. One that is held already stays as it is. */
  hold(held: Held, refuse: () => Promise<void>): Promise<void>;
  /** Notes a decision, unless there is one already. Answers the hold with the decision that counts; undefined where the run isn't held. */
  decide(
    order: Pick<Decide, "run_id" | "decision" | "requested_by">,
    orderId: string,
  ): Promise<HoldRow | undefined>;
  /**
   * Removes a local file by `remove` and notes it; a time that was noted before stays. No event or delivery is kept meanwhile, so that what
   * `remove` reads stays true. Nothing is noted where it answers why the file stays, which is the answer.
   */
  removeFile(
    file: number,
    at: string,
    remove: () => Promise<string | undefined>,
    options?: Stoppable,
  ): Promise<string | undefined>;
  /** Notes an order for each of `receivers`; one that is known stays as it is. The oldest beyond the number that is kept go. */
  noteOrder(order: Notify, receivers: readonly ReceiverName[]): Promise<void>;
  /** Notes the result of a try at the notification of `webhookId` to the receiver with `key`. */
  noteTry(
    of: { webhookId: string; key: string },
    tried: { state: NotificationState; result: string; at: string },
  ): Promise<void>;
  /** Keeps how lateness of a pipeline's runs is judged. */
  keepWatched(pipeline: string, watched: WatchedSchedule): Promise<void>;
  /**
   * Makes sure that a file can be loaded.
   *
   * @throws NoSpace when there is no room to load a file of `bytes` bytes; `purpose` is such as `load data/x.jsonl`.
   */
  needSpace(bytes: number, purpose: string): Promise<void>;
  /** Upkeep between two loads, so that the engine doesn't grow without need. */
  tidy(): Promise<void>;
}
