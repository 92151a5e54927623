// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Opening the database: the saver writes it, everybody else reads.
 *
 * @module
 */
import { dirname } from "node:path";
import { PermanentError } from "../../errors/errors.ts";
import { needSpace } from "../../files/disk.ts";
import type { Decide, RunEvent } from "../../contracts/messages.ts";
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import { growthOf, INCREMENTAL } from "./growth.ts";
import { goingFiles, trimRuns } from "./trim.ts";
import { Database } from "../../sqlite/database.ts";
import { immediate, Mutex, type WaitOptions, whenUnlocked } from "../../sqlite/transaction.ts";
import type { FileRow, Growth, Held, HoldRow, NotificationState, Trimmed, WatchedSchedule } from "../rows.ts";
import type { Defined } from "../shown.ts";
import type { ReadStore, Stoppable, Store } from "../store.ts";
import type {
  Delivered,
  FileToLoad,
  LineSource,
  LoadedFile,
  LoadedRun,
  LoadOptions,
  RunToLoad,
} from "../writes.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { SqliteCurrent } from "./current.ts";
import { breathing, moveCurrent, unmoved } from "./current_move.ts";
import { keepDecision, keepHeld, SqliteHolds } from "./holds.ts";
import { loadFile } from "./load.ts";
import { migrate, SCHEMA_VERSION, schemaVersion } from "./migrate.ts";
import { keepWatched, noteOrder, noteTry, SqliteNotifications } from "./notifications.ts";
import { SqliteRecords } from "./records.ts";
import { announceRun, markLoaded, markRemoved, record, recordDelivery } from "./run_writes.ts";
import { SqliteRuns } from "./runs.ts";
import { ShownPipelines, versionOf } from "./shown.ts";
import { refreshViews } from "./views.ts";

export interface StoreOptions extends WaitOptions {
  /** The pipelines whose records are to be loaded. */
  readonly pipelines: readonly Defined[];
}

/** How long a read may wait while another process recovers the write-ahead log, in milliseconds. */
const READ_TIMEOUT_MS = 1000;

/** The reader's side. */
export class SqliteReadStore implements ReadStore {
  readonly runs: SqliteRuns;
  readonly records: SqliteRecords;
  readonly current: SqliteCurrent;
  readonly notifications: SqliteNotifications;
  readonly holds: SqliteHolds;

  /** Made by `openSqliteToRead`. */
  constructor(private readonly db: Database) {
    const shown = new ShownPipelines(db);
    this.runs = new SqliteRuns(db);
    this.records = new SqliteRecords(db, shown);
    this.current = new SqliteCurrent(db, shown);
    this.notifications = new SqliteNotifications(db);
    this.holds = new SqliteHolds(db, shown);
  }

  async problemsOfCurrent(pipeline: string): Promise<string[]> {
    const shape = (await this.records.pipelines()).get(pipeline)?.current;
    return shape ? problemsOfCurrent(this.db, pipeline, shape) : [];
  }

  async growth(): Promise<Growth> {
    return growthOf(this.db);
  }

  async trimmable(before: string): Promise<FileRow[]> {
    return goingFiles(this.db, before);
  }

  async ping(): Promise<void> {
    schemaVersion(this.db);
  }

  async damage(): Promise<string | undefined> {
    const found = this.db.get<{ quick_check: string }>("PRAGMA quick_check(1)")!.quick_check;
    return found === "ok" ? undefined : found;
  }

  async version(): Promise<number> {
    return versionOf(this.db);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.db[Symbol.dispose]();
  }
}

/** The saver's side. */
export class SqliteStore implements Store {
  readonly runs: SqliteRuns;
  readonly records: SqliteRecords;
  readonly current: SqliteCurrent;
  readonly notifications: SqliteNotifications;
  readonly holds: SqliteHolds;
  readonly #turns = new Mutex();
  /** The disk had no room for what is in the write-ahead log. */
  #isLogStuck = false;

  /** Made by `openSqlite`. */
  constructor(
    private readonly writer: Database,
    private readonly reader: SqliteReadStore,
  ) {
    this.runs = reader.runs;
    this.records = reader.records;
    this.current = reader.current;
    this.notifications = reader.notifications;
    this.holds = reader.holds;
  }

  /**
   * Runs `work` in a write transaction, after those of this process that came before: all is kept and synced to the disk, or, when `work`
   * throws, nothing. `work` may await; it must not call `write` itself.
   *
   * @throws TransientError when another process holds the lock for longer than `waitMs`, or the disk is full or fails.
   */
  write<T>(work: (db: Database) => T | Promise<T>, options: WaitOptions = {}): Promise<T> {
    return this.#turns.run(async () => {
      if (this.#isLogStuck) this.#emptyLog(); // or the log would fill the room that it waits for
      try {
        return await immediate(this.writer, work, options);
      } catch (error) {
        try {
          this.#emptyLog(); // what was rolled back has grown the log: the space goes back to the disk
        } catch {
          // a disk that is full or failing: the next one begins with it
        }
        throw error;
      }
    });
  }

  async announceRun(run: RunToLoad): Promise<void> {
    if (await this.runs.byRunId(run.runId) === undefined) await this.write((db) => announceRun(db, run));
  }

  loadFile(file: FileToLoad, lines: LineSource, options: LoadOptions = {}): Promise<LoadedFile> {
    return this.write((db) => loadFile(db, file, lines, options), { signal: options.signal });
  }

  markLoaded(run: LoadedRun, options: Stoppable = {}): Promise<void> {
    return this.write((db) => markLoaded(db, run, options.signal), options);
  }

  async fillCurrent({ signal }: Stoppable = {}): Promise<number> {
    const runs = await this.write(unmoved, { signal });
    for (const run of runs) await this.write((db) => moveCurrent(db, run, breathing(signal)), { signal });
    return runs.length;
  }

  trim(before: string, { signal }: Stoppable = {}): Promise<Trimmed> {
    return trimRuns(this, before, signal);
  }

  record(events: readonly RunEvent[]): Promise<void> {
    return this.write((db) => record(db, events));
  }

  recordDelivery(runId: string, files: readonly Delivered[]): Promise<void> {
    return this.write((db) => recordDelivery(db, runId, files));
  }

  hold(held: Held, refuse: () => Promise<void>): Promise<void> {
    return this.write(async (db) => {
      await refuse();
      keepHeld(db, held);
    });
  }

  decide(
    order: Pick<Decide, "run_id" | "decision" | "requested_by">,
    orderId: string,
  ): Promise<HoldRow | undefined> {
    return this.write((db) => keepDecision(db, order, orderId));
  }

  removeFile(
    file: number,
    at: string,
    remove: () => Promise<string | undefined>,
    options: Stoppable = {},
  ): Promise<string | undefined> {
    return this.write(async (db) => {
      const stays = await remove();
      if (stays === undefined) markRemoved(db, file, at);
      return stays;
    }, options);
  }

  noteOrder(order: Notify, receivers: readonly ReceiverName[]): Promise<void> {
    return this.write((db) => receivers.forEach((receiver) => noteOrder(db, order, receiver)));
  }

  noteTry(
    of: { webhookId: string; key: string },
    tried: { state: NotificationState; result: string; at: string },
  ): Promise<void> {
    return this.write((db) => noteTry(db, of, tried));
  }

  keepWatched(pipeline: string, watched: WatchedSchedule): Promise<void> {
    return this.write((db) => keepWatched(db, pipeline, watched));
  }

  /** Records are written twice: to the write-ahead log, and from there to the database. */
  needSpace(bytes: number, purpose: string): Promise<void> {
    return needSpace(dirname(this.writer.path), 2 * bytes, purpose);
  }

  /** Moves what was committed from the write-ahead log into the database and empties the log, unless a reader uses it: then next time. */
  tidy(): Promise<void> {
    return this.#turns.run(async () => this.#emptyLog());
  }

  #emptyLog(): void {
    this.#isLogStuck = true;
    this.writer.all("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#isLogStuck = false;
  }

  /** Closes the store after the transactions that have begun or wait. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#turns.run(async () => {
      await this.reader[Symbol.asyncDispose]();
      this.writer[Symbol.dispose]();
    });
  }
}

/**
 * Size of a page of a new database, in bytes; one that is there keeps its own. Records have 1 to 2 KB: on SQLite's 4 KiB they leave room
 * unused, and take half as long again to load.
 */
const PAGE_BYTES = 16 * 1024;

/**
 * Opens the database to write: creates it and its folder where they aren't there, brings the schema up to date and makes the views.
 *
 * @throws PermanentError when the file is damaged, foreign, or made by a newer program; it is left as it is.
 * @throws TransientError when another process holds its lock for longer than `waitMs`.
 */
export async function openSqlite(path: string, options: StoreOptions): Promise<SqliteStore> {
  await makeFolder(dirname(path));
  const writer = new Database(path);
  try {
    await whenUnlocked(writer, () => {
      schemaVersion(writer); // before anything is written
      writer.script(
        `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = ${INCREMENTAL}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`,
      );
    }, options);
    await migrate(writer, options);
    await immediate(writer, (db) => refreshViews(db, options.pipelines), options);
    return new SqliteStore(writer, new SqliteReadStore(openReader(path)));
  } catch (error) {
    writer[Symbol.dispose]();
    throw error;
  }
}

/**
 * Opens the database to read.
 *
 * Answers undefined while it isn't there yet, or the writer hasn't brought it to this program's schema yet: ask again later.
 *
 * @throws PermanentError when the file is damaged, unreadable, or made by a newer program.
 */
export function openSqliteToRead(path: string): SqliteReadStore | undefined {
  if (!isThere(path)) return undefined;
  const reader = openReader(path);
  try {
    if (schemaVersion(reader) === SCHEMA_VERSION && hasViews(reader)) return new SqliteReadStore(reader);
  } catch (error) {
    reader[Symbol.dispose]();
    throw error;
  }
  reader[Symbol.dispose]();
  return undefined;
}

function openReader(path: string): Database {
  return new Database(path, { readOnly: true, busyTimeoutMs: READ_TIMEOUT_MS });
}

function hasViews(db: Database): boolean {
  return db.get("SELECT 1 FROM sqlite_schema WHERE type = 'view'") !== undefined;
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw noAccess(path, error);
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw noAccess(path, error);
  }
}

function noAccess(path: string, cause: unknown): PermanentError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new PermanentError(
    `Cannot use ${path}: ${text}. Correct DB_PATH, or give the user that runs this service the right to use it, and start again.`,
    { cause },
  );
}
