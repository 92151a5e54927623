/**
 * The SQLite file that several processes share as their queue: opening, schema, and taking turns at writing.
 *
 * @module
 */
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { messageOf, PermanentError, TransientError } from "../errors/errors.ts";

/** Marks the file as a queue, whatever it is called ("etlq"). */
const APPLICATION_ID = 0x65746c71;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- publishing order; never used again, as views go by it
  mailbox TEXT NOT NULL,
  id TEXT NOT NULL,
  body BLOB NOT NULL,                     -- UTF-8; as text, a NUL in it would end it
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,                -- when it may be handed out (again): end of the delay or of the lease
  holder TEXT,                            -- token of the claim that holds it
  published_at INTEGER NOT NULL,          -- all times in milliseconds since 1970
  settled_at INTEGER,
  reason TEXT,                            -- why it was handed back or given up
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

/** How long a call tries to get its turn. */
const LOCK_PATIENCE_MS = 5_000;
/** How long the thread may stand still for the lock; beyond that the wait is asynchronous. */
const BLOCK_MS = 5;
/** Longest pause between two tries; each is cut by chance, so that no process starves. */
const LOCK_PAUSE_MS = 20;

/** A queue file that is open. */
export class QueueFile implements Disposable {
  readonly #statements = new Map<string, StatementSync>();

  private constructor(private readonly path: string, private readonly db: DatabaseSync) {}

  /**
   * Opens the queue file at `path`, made with its folder when it isn't there.
   *
   * @throws PermanentError when the file is something else, or of a newer version; it is left as it was.
   * @throws TransientError when another process keeps it locked.
   */
  static async open(path: string): Promise<QueueFile> {
    await makeFolderOf(path);
    const action = `open the queue file "${path}"`;
    const file = new QueueFile(path, opened(action, path));
    try {
      await file.#takeTurns(action, () => file.#checkKind());
      await file.#takeTurns(
        action,
        () => file.db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"),
      );
      await file.write(action, () => {
        if (file.#checkKind() === "empty") file.db.exec(SCHEMA);
      });
      return file;
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  /** A prepared statement; the same text is prepared once. */
  sql(text: string): StatementSync {
    const known = this.#statements.get(text);
    if (known !== undefined) return known;
    const statement = this.db.prepare(text);
    this.#statements.set(text, statement);
    return statement;
  }

  /** Runs `work`, which only reads. @throws TransientError when the file stays locked. */
  async read<T>(action: string, work: () => T): Promise<T> {
    return await this.#takeTurns(action, work);
  }

  /** Runs `work` in a transaction that is on the disk when this resolves, and undone when `work` throws. @throws TransientError when the file stays locked. */
  async write<T>(action: string, work: () => T): Promise<T> {
    // SQLite answers without waiting: a loop of writes would keep timers and signals from ever having their turn.
    await setImmediate();
    return await this.#takeTurns(action, () => {
      this.db.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        this.db.exec("COMMIT");
        return result;
      } catch (error) {
        if (this.db.isTransaction) this.db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    if (this.db.isOpen) this.db.close();
  }

  /** Only reads, so that somebody else's database stays as it is. */
  #checkKind(): "empty" | "queue" {
    const number = (pragma: string) =>
      Number(Object.values(this.db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    const version = number("user_version");
    if (number("application_id") !== APPLICATION_ID) {
      const tables = this.db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n;
      if (version === 0 && tables === 0) return "empty";
      throw new PermanentError(
        `Cannot open the queue file "${this.path}": it is a database, but not a queue. Name another file in QUEUE_PATH.`,
      );
    }
    if (version > SCHEMA_VERSION) {
      throw new PermanentError(
        `Cannot open the queue file "${this.path}": its version is ${version}, and this program knows ${SCHEMA_VERSION}. Start the newer program, or name another file in QUEUE_PATH.`,
      );
    }
    return "queue";
  }

  async #takeTurns<T>(action: string, work: () => T): Promise<T> {
    const deadline = Date.now() + LOCK_PATIENCE_MS;
    for (let longest = 1;; longest = Math.min(longest * 2, LOCK_PAUSE_MS)) {
      try {
        if (!this.db.isOpen) {
          throw new PermanentError(`Cannot ${action}: the channel was closed. Open another one.`);
        }
        return work();
      } catch (error) {
        const failure = failureOf(action, this.path, error);
        if (failure !== "locked") throw failure;
        if (Date.now() > deadline) {
          throw new TransientError(
            `Cannot ${action}: another process has kept "${this.path}" locked for ${LOCK_PATIENCE_MS} ms. If no service is writing, look for a program that has the file open.`,
            { cause: error },
          );
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
    }
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

function opened(action: string, path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: BLOCK_MS });
  } catch (error) {
    throw failureOf(action, path, error);
  }
}

/** SQLite's errors come without codes here, so that this one place goes by their texts. */
function failureOf(action: string, path: string, error: unknown): unknown {
  const text = messageOf(error);
  if (/database (table )?is locked/.test(text)) return "locked";
  const why = `Cannot ${action}: ${text}.`;
  if (/not a database|malformed/.test(text)) {
    return new PermanentError(
      `${why} "${path}" is no SQLite database or is damaged; it was left as it is. Move it away to begin with an empty queue, or name another file in QUEUE_PATH.`,
      { cause: error },
    );
  }
  if (/readonly|unable to open|requires \w+ access/.test(text)) {
    return new PermanentError(`${why} Make "${path}" and its folder readable and writable for this user.`, {
      cause: error,
    });
  }
  if (/disk is full|disk I\/O error/.test(text)) {
    return new TransientError(`${why} Make room on the disk of "${path}".`, { cause: error });
  }
  return error;
}
