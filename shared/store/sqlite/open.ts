/**
 * Opening the database: the saver writes it, everybody else reads.
 *
 * @module
 */
import { dirname } from "node:path";
import { PermanentError } from "../../errors/errors.ts";
import { needSpace } from "../../files/disk.ts";
import { Holds } from "./holds.ts";
import { Current } from "./current.ts";
import { migrate, SCHEMA_VERSION, schemaVersion } from "./migrate.ts";
import { Notifications } from "./notifications.ts";
import { Records } from "./records.ts";
import { Runs } from "./runs.ts";
import { Database } from "../../sqlite/database.ts";
import { immediate, Mutex, type WaitOptions, whenUnlocked } from "../../sqlite/transaction.ts";
import type { Defined } from "./shown.ts";
import { refreshViews } from "./views.ts";

export interface StoreOptions extends WaitOptions {
  /** The pipelines whose records are to be loaded. */
  readonly pipelines: readonly Defined[];
}

/** How long a read may wait while another process recovers the write-ahead log, in milliseconds. */
const READ_TIMEOUT_MS = 1000;

/** What is read from the database; each read sees what was committed when it began, and waits for no writer. */
export class ReadStore implements Disposable {
  /** Runs and what belongs to them. */
  readonly runs: Runs;
  readonly records: Records;
  /** What the pipelines' records are now. */
  readonly current: Current;
  readonly notifications: Notifications;
  readonly holds: Holds;

  /** Made by `openStoreReadOnly`. */
  constructor(private readonly db: Database) {
    this.runs = new Runs(db);
    this.records = new Records(db);
    this.current = new Current(db, this.records);
    this.notifications = new Notifications(db);
    this.holds = new Holds(db);
  }

  /** Throws when the database doesn't answer. */
  ping(): void {
    schemaVersion(this.db);
  }

  /** What SQLite finds wrong with the file's structure; undefined where nothing is. Reads all of the file. */
  damage(): string | undefined {
    const found = this.db.get<{ quick_check: string }>("PRAGMA quick_check(1)")!.quick_check;
    return found === "ok" ? undefined : found;
  }

  /** A number that changes whenever something was committed: what was read under the same one is still what would be read. */
  version(): number {
    return this.db.get<{ data_version: number }>("PRAGMA data_version")!.data_version;
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]();
  }
}

/** The writer's side. Several processes may have one each; within a process all share one. */
export class Store implements AsyncDisposable {
  readonly runs: Runs;
  readonly records: Records;
  readonly current: Current;
  readonly notifications: Notifications;
  readonly holds: Holds;
  readonly #turns = new Mutex();

  /** Made by `openStore`. */
  constructor(
    private readonly writer: Database,
    private readonly reader: ReadStore,
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
      try {
        return await immediate(this.writer, work, options);
      } catch (error) {
        this.#emptyLog(); // what was rolled back has grown the log: the space goes back to the disk
        throw error;
      }
    });
  }

  /** @throws NoSpace when the database's disk has less than `bytes` free for `purpose`, such as `load data/x.jsonl`. */
  needSpace(bytes: number, purpose: string): Promise<void> {
    return needSpace(dirname(this.writer.path), bytes, purpose);
  }

  #emptyLog(): void {
    try {
      this.writer.all("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // a disk that is full or failing, or a reader in the way: the next load does it
    }
  }

  /** Moves what was committed from the write-ahead log into the database and empties the log, unless a reader uses it: then next time. */
  checkpoint(): Promise<void> {
    return this.#turns.run(() => {
      this.writer.all("PRAGMA wal_checkpoint(TRUNCATE)");
      return Promise.resolve();
    });
  }

  /** Closes the store after the transactions that have begun or wait. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#turns.run(() => {
      this.reader[Symbol.dispose]();
      this.writer[Symbol.dispose]();
      return Promise.resolve();
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
export async function openStore(path: string, options: StoreOptions): Promise<Store> {
  await makeFolder(dirname(path));
  const writer = new Database(path);
  try {
    await whenUnlocked(writer, () => {
      schemaVersion(writer); // before anything is written
      writer.script(
        `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`,
      );
    }, options);
    await migrate(writer, options);
    await immediate(writer, (db) => refreshViews(db, options.pipelines), options);
    return new Store(writer, new ReadStore(openReader(path)));
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
export function openStoreReadOnly(path: string): ReadStore | undefined {
  if (!isThere(path)) return undefined;
  const reader = openReader(path);
  try {
    if (schemaVersion(reader) === SCHEMA_VERSION && hasViews(reader)) return new ReadStore(reader);
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
