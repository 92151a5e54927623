/** The SQLite file that several processes share as their queue: opens it, creates its schema, and runs short transactions. */
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { messageOf, NoSpace, PermanentError } from "../errors/errors.ts";
import { Database } from "../sqlite/database.ts";
import { whenUnlocked } from "../sqlite/transaction.ts";

/** Identifies a queue file, whatever its name ("etlq"). */
const APPLICATION_ID = 0x65746c71;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- publishing order; never reused, as watches read on from it
  mailbox TEXT NOT NULL,
  id TEXT NOT NULL,
  body BLOB NOT NULL,                     -- UTF-8; as text, a NUL in it would end it
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,                -- when it can be handed out: 0 if new, else the end of the delay or of the lease
  holder TEXT,                            -- token of the claim that holds it
  published_at INTEGER NOT NULL,          -- all times in milliseconds since 1970
  settled_at INTEGER,                     -- when it was completed, buried, or (state 'open') handed back
  reason TEXT,                            -- why it was handed back or buried
  UNIQUE (mailbox, id)
) STRICT;
CREATE INDEX messages_open ON messages (mailbox, seq) WHERE state = 'open';
CREATE INDEX messages_dead ON messages (mailbox, settled_at, seq) WHERE state = 'dead';
CREATE INDEX messages_done ON messages (settled_at) WHERE state = 'done';
CREATE TABLE paused (mailbox TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE beats (
  actor TEXT NOT NULL,
  instance TEXT NOT NULL,
  at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (actor, instance)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** How long a call waits for the lock. */
const LOCK_PATIENCE_MS = 5_000;
/** How long a start waits for the lock: another program may copy or check the file. */
const OPEN_PATIENCE_MS = 60_000;
/** How long the thread may block for the lock; longer waits are asynchronous. */
const BLOCK_MS = 5;
/** Free pages that the file keeps for the next messages; more are returned to the disk. */
const SPARE_PAGES = 256;
/** The most pages that one transaction returns to the disk. */
const RETURN_AT_ONCE = 200;

export class QueueFile implements Disposable {
  private constructor(readonly db: Database, private readonly callWaitMs: number) {}

  /**
   * Opens the queue file at `path`, which is created with its folder if missing.
   *
   * @throws PermanentError if the file isn't a queue, or has a newer version; it stays unchanged.
   * @throws TransientError if another process keeps it locked.
   */
  static async open(path: string, callWaitMs = LOCK_PATIENCE_MS): Promise<QueueFile> {
    await makeFolderOf(path);
    const file = new QueueFile(
      new Database(path, {
        busyTimeoutMs: BLOCK_MS,
        ifDamaged:
          "Move the file away to begin with an empty queue, or name another file in QUEUE_PATH, and start again.",
      }),
      callWaitMs,
    );
    const patience = { waitMs: OPEN_PATIENCE_MS };
    try {
      await whenUnlocked(file.db, () => {
        const kind = file.#checkKind();
        // must precede the first table and all other writes
        if (kind === "empty") file.db.script("PRAGMA auto_vacuum = INCREMENTAL");
        file.db.script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      }, patience);
      await whenUnlocked(
        file.db,
        () => file.#transaction(() => file.#checkKind() === "empty" && file.db.script(SCHEMA)),
        patience,
      );
      return file;
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  /** Runs `work`, which only reads. @throws TransientError if the file stays locked. */
  async read<T>(action: string, work: () => T): Promise<T> {
    return await whenUnlocked(this.db, () => this.#open(action) && work(), { waitMs: this.callWaitMs }) as T;
  }

  /**
   * Runs `work` in a transaction, which is durable when this resolves, and rolled back if `work` throws. @throws TransientError if the file stays
   * locked.
   */
  async write<T>(action: string, work: () => T): Promise<T> {
    // SQLite is synchronous: without this, a loop of writes would starve timers and signals
    await setImmediate();
    return await this.read(action, () => this.#transaction(work));
  }

  /** Deletes up to `limit` messages completed before `before`, and returns free pages to the disk; must run in a transaction. */
  forget(before: number, limit: number): void {
    const forgotten = this.db.run(
      "DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE state = 'done' AND settled_at < ? LIMIT ?)",
      before,
      limit,
    );
    if (forgotten === 0) return;
    const { freelist_count: spare } = this.db.get<{ freelist_count: number }>("PRAGMA freelist_count")!;
    // the pragma returns a row for each page, and works only while they are read
    if (spare > SPARE_PAGES) this.db.all(`PRAGMA incremental_vacuum(${RETURN_AT_ONCE})`);
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]();
  }

  #open(action: string): true {
    if (this.db.isOpen) return true;
    throw new PermanentError(`Cannot ${action}: the channel was closed. Open another one.`);
  }

  /** On a full disk, restarts the write-ahead log and retries once: where the file has free pages, no more space is needed. */
  #transaction<T>(work: () => T): T {
    try {
      return this.#immediate(work);
    } catch (error) {
      if (!(error instanceof NoSpace)) throw error;
      this.db.all("PRAGMA wal_checkpoint(RESTART)");
      return this.#immediate(work);
    }
  }

  #immediate<T>(work: () => T): T {
    this.db.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.db.run("COMMIT");
      return result;
    } catch (error) {
      if (this.db.inTransaction) this.db.run("ROLLBACK");
      throw error;
    }
  }

  /** Only reads, so that another program's database stays unchanged. */
  #checkKind(): "empty" | "queue" {
    const { id, version, tables } = this.db.get<{ id: number; version: number; tables: number }>(
      `SELECT (SELECT application_id FROM pragma_application_id) AS id,
              (SELECT user_version FROM pragma_user_version) AS version,
              (SELECT count(*) FROM sqlite_schema) AS tables`,
    )!;
    if (id !== APPLICATION_ID) {
      if (version === 0 && tables === 0) return "empty";
      throw new PermanentError(
        `Cannot open the queue file "${this.db.path}": it is a database, but not a queue. Name another file in QUEUE_PATH.`,
      );
    }
    if (version > SCHEMA_VERSION) {
      throw new PermanentError(
        `Cannot open the queue file "${this.db.path}": its version is ${version}, and this program knows ${SCHEMA_VERSION}. Start the newer program, or name another file in QUEUE_PATH.`,
      );
    }
    return "queue";
  }
}

async function makeFolderOf(path: string): Promise<void> {
  const folder = dirname(path);
  try {
    await Deno.mkdir(folder, { recursive: true });
  } catch (error) {
    throw new PermanentError(
      `Cannot make the folder "${folder}" of the queue file: ${
        messageOf(error)
      }. Make it, writable for this user, or name another file in QUEUE_PATH.`,
      { cause: error },
    );
  }
}
