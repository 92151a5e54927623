// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Opening the database: the saver writes it, everybody else reads.
 *
 * @module
 */
import { dirname } from "node:path";
import { PermanentError } from "../../errors/errors.ts";
import { needSpace } from "../../files/disk.ts";
import { Database } from "../../sqlite/database.ts";
import { immediate, Mutex, type WaitOptions, whenUnlocked } from "../../sqlite/transaction.ts";
import type { FileRow, Growth, Trimmed } from "../rows.ts";
import type { Defined } from "../shown.ts";
import { addFields } from "../sql/columns.ts";
import { SqlHolds } from "../sql/holds.ts";
import { SqlNotifications } from "../sql/notifications.ts";
import { announceRun, noteLoaded, sampleFields } from "../sql/run_writes.ts";
import { SqlRuns } from "../sql/runs.ts";
import { ShownPipelines } from "../sql/shown.ts";
import type { Sql } from "../sql/sql.ts";
import { SqlStore } from "../sql/store.ts";
import type { ReadStore, Stoppable, Store } from "../store.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadedRun, LoadOptions, RunToLoad } from "../writes.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { SqliteCurrent } from "./current.ts";
import { breathing, moveCurrent } from "./current_move.ts";
import { growthOf, INCREMENTAL, noteGrowth } from "./growth.ts";
import { loadFile } from "./load.ts";
import { migrate, SCHEMA_VERSION, schemaVersion } from "./migrate.ts";
import { SqliteRecords } from "./records.ts";
import { sqlOf, versionOf } from "./statements.ts";
import { trimRuns } from "./trim.ts";
import { refreshViews } from "./views.ts";
import { goingFiles } from "../sql/trim.ts";
import { unmoved } from "../sql/moves.ts";

export interface StoreOptions extends WaitOptions {
  /** The pipelines whose records are to be loaded. */
  readonly pipelines: readonly Defined[];
}

/** How long a read may wait while another process recovers the write-ahead log, in milliseconds. */
const READ_TIMEOUT_MS = 1000;

/** The reader's side. */
export class SqliteReadStore implements ReadStore {
  readonly runs: SqlRuns;
  readonly records: SqliteRecords;
  readonly current: SqliteCurrent;
  readonly notifications: SqlNotifications;
  readonly holds: SqlHolds;

  /** Made by `openSqliteToRead`. */
  constructor(private readonly db: Database) {
    const sql = sqlOf(db);
    const shown = new ShownPipelines(sql, () => versionOf(db));
    this.runs = new SqlRuns(sql);
    this.records = new SqliteRecords(db, shown);
    this.current = new SqliteCurrent(db, shown);
    this.notifications = new SqlNotifications(sql);
    this.holds = new SqlHolds(sql, shown);
  }

  async problemsOfCurrent(pipeline: string): Promise<string[]> {
    const shape = (await this.records.pipelines()).get(pipeline)?.current;
    return shape ? await problemsOfCurrent(this.db, pipeline, shape) : [];
  }

  async growth(): Promise<Growth> {
    return growthOf(this.db);
  }

  async trimmable(before: string): Promise<FileRow[]> {
    return goingFiles(sqlOf(this.db), before);
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
export class SqliteStore extends SqlStore implements Store {
  readonly #turns = new Mutex();
  /** Trims have a temporary table in common. */
  readonly #trims = new Mutex();
  /** The disk had no room for what is in the write-ahead log. */
  #isLogStuck = false;

  /** Made by `openSqlite`. */
  constructor(
    private readonly writer: Database,
    private readonly reader: SqliteReadStore,
  ) {
    super(reader);
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

  transaction<T>(work: (sql: Sql) => Promise<T>, options?: Stoppable): Promise<T> {
    return this.write((db) => work(sqlOf(db)), options);
  }

  async announceRun(run: RunToLoad): Promise<void> {
    if (await this.runs.byRunId(run.runId) === undefined) {
      await this.transaction((sql) => announceRun(sql, run));
    }
  }

  loadFile(file: FileToLoad, lines: LineSource, options: LoadOptions = {}): Promise<LoadedFile> {
    return this.write((db) => loadFile(db, file, lines, options), { signal: options.signal });
  }

  markLoaded(run: LoadedRun, options: Stoppable = {}): Promise<void> {
    return this.write(async (db) => {
      const sql = sqlOf(db);
      await noteLoaded(sql, run);
      const fields = run.fields ?? await sampleFields(sql, run);
      if (await addFields(sql, run.pipeline, fields)) await refreshViews(db);
      await moveCurrent(db, run, breathing(options.signal));
      noteGrowth(db);
    }, options);
  }

  async fillCurrent({ signal }: Stoppable = {}): Promise<number> {
    const runs = await this.transaction(unmoved, { signal });
    for (const run of runs) await this.write((db) => moveCurrent(db, run, breathing(signal)), { signal });
    return runs.length;
  }

  trim(before: string, { signal }: Stoppable = {}): Promise<Trimmed> {
    return this.#trims.run(() => trimRuns(this, before, signal));
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
