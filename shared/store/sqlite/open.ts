// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/** Opens the database: the saver writes, all others read. */
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

interface StoreOptions extends WaitOptions {
  /** The pipelines whose records will be loaded. */
  readonly pipelines: readonly Defined[];
}

/** How long a read may wait while another process recovers the write-ahead log, in milliseconds. */
const READ_TIMEOUT_MS = 1000;

/** The store as a reader opens it. */
export class SqliteReadStore implements ReadStore {
  readonly runs: SqlRuns;
  readonly records: SqliteRecords;
  readonly current: SqliteCurrent;
  readonly notifications: SqlNotifications;
  readonly holds: SqlHolds;

  /** Use `openSqliteToRead`. */
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

/** The store as the saver opens it. */
export class SqliteStore extends SqlStore implements Store {
  readonly #turns = new Mutex();
  /** Makes trims wait for each other: they share a temporary table. */
  readonly #trims = new Mutex();
  /** Whether the last checkpoint of the write-ahead log failed, such as on a full disk. */
  #isLogStuck = false;

  /** Use `openSqlite`. */
  constructor(
    private readonly writer: Database,
    private readonly reader: SqliteReadStore,
  ) {
    super(reader);
  }

  /**
   * Runs `work` in a write transaction, after earlier ones of this process. It is committed durably, or rolled back if `work` throws. `work` may
   * await; it must not call `write` itself.
   *
   * @throws TransientError if another process holds the lock for longer than `waitMs`, or the disk is full or fails.
   */
  write<T>(work: (db: Database) => T | Promise<T>, options: WaitOptions = {}): Promise<T> {
    return this.#turns.run(async () => {
      if (this.#isLogStuck) this.#emptyLog(); // otherwise the log keeps the space that this transaction needs
      try {
        return await immediate(this.writer, work, options);
      } catch (error) {
        try {
          this.#emptyLog(); // the rolled-back pages have grown the log: frees their space
        } catch {
          // the disk is full or failing: the next transaction tries again first
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

  /** Needs twice the size: records are written to the write-ahead log, and from there to the database. */
  needSpace(bytes: number, purpose: string): Promise<void> {
    return needSpace(dirname(this.writer.path), 2 * bytes, purpose);
  }

  /**
   * Moves committed pages from the write-ahead log into the database and truncates the log. While a reader uses the log, this waits for the next
   * call.
   */
  tidy(): Promise<void> {
    return this.#turns.run(async () => this.#emptyLog());
  }

  #emptyLog(): void {
    this.#isLogStuck = true;
    this.writer.all("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#isLogStuck = false;
  }

  /** Closes the store after all running and waiting transactions. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#turns.run(async () => {
      await this.reader[Symbol.asyncDispose]();
      this.writer[Symbol.dispose]();
    });
  }
}

/**
 * Page size of a new database, in bytes; an existing one keeps its own. Records have 1 to 2 KB: pages of 4 KiB (SQLite's default) waste space, and a
 * load takes half as long again.
 */
const PAGE_BYTES = 16 * 1024;

/**
 * Opens the database for writing: creates it and its folder if missing, migrates the schema and creates the views.
 *
 * @throws PermanentError if the file is damaged, foreign, or made by a newer version; it stays unchanged.
 * @throws TransientError if another process holds its lock for longer than `waitMs`.
 */
export async function openSqlite(path: string, options: StoreOptions): Promise<SqliteStore> {
  await makeFolder(dirname(path));
  const writer = new Database(path);
  try {
    await whenUnlocked(writer, () => {
      schemaVersion(writer); // checked before anything is written
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
 * Opens the database for reading.
 *
 * Returns undefined until the writer has created it and migrated it to this version's schema: ask again later.
 *
 * @throws PermanentError if the file is damaged, unreadable, or made by a newer version.
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
