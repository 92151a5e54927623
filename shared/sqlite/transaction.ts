/** Write transactions that wait for the lock without stopping the process. */
import { setTimeout as wait } from "node:timers/promises";
import { TransientError } from "../errors/errors.ts";
import { BusyError, type Database } from "./database.ts";

/** How long a transaction waits for other processes. */
export interface WaitOptions {
  /** Milliseconds until it fails. Default 30,000. */
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The longest pause between two tries to get the lock, in milliseconds. */
const LONGEST_PAUSE = 25;

/**
 * Tries `step` again, with jitter, while another process holds the lock.
 *
 * @throws TransientError when it held it all the time.
 */
export async function whenUnlocked<T>(db: Database, step: () => T, options: WaitOptions = {}): Promise<T> {
  const waitMs = options.waitMs ?? 30_000;
  const deadline = performance.now() + waitMs;
  for (let pause = 2;; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    options.signal?.throwIfAborted();
    try {
      return step();
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new TransientError(
          `Cannot use ${db.path}: another process has held its lock for ${
            waitMs / 1000
          } s. It will be retried; ` +
            `if it stays so, look for a program that keeps a write transaction open.`,
          { cause: error },
        );
      }
      await wait(Math.min(left, pause * (0.5 + Math.random() / 2)), undefined, { signal: options.signal });
    }
  }
}

/**
 * Runs `work` in a write transaction that sees nothing of others until it ends: all of it is kept, synced to the disk, or (when `work`
 * throws) nothing.
 *
 * @throws TransientError when the lock isn't free in time.
 */
export async function immediate<T>(
  db: Database,
  work: (db: Database) => T | Promise<T>,
  options: WaitOptions = {},
): Promise<T> {
  await whenUnlocked(db, () => db.run("BEGIN IMMEDIATE"), options);
  try {
    const result = await work(db);
    db.run("COMMIT");
    return result;
  } catch (error) {
    // SQLite has rolled back by itself after some errors, such as a full disk
    if (db.inTransaction) db.run("ROLLBACK");
    throw error;
  }
}

/** Lets one in at a time, in the order of arrival. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` after all that came before it has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    return mine;
  }
}
