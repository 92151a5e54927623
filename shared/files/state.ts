/**
 * The State port: the extractor's persistent state, and the locks for changing it.
 *
 * @module
 */
import type { Documents } from "./documents.ts";

/** Checkpoints, announcements and the state of the schedule, by name. A checkpoint is changed only under its pipeline's lock. */
export interface State extends Documents {
  /**
   * Acquires the lock `name`, waiting up to `waitMs` for its holder. The end of the holder's process releases it.
   *
   * @throws Busy, naming the holder, if the lock wasn't released in time.
   * @throws TransientError or PermanentError as the other methods.
   * @throws the signal's reason if `signal` ended the wait.
   */
  lock(name: string, options: LockOptions): Promise<StateLock>;
}

/** A held lock. Disposing releases it. */
export interface StateLock extends Disposable {
  /** The same documents, for the holder. Once another process has the lock, writing and removing throw `TransientError` and change nothing. */
  readonly documents: Documents;
}

/** Options for waiting for a lock. */
export interface LockOptions {
  /** The longest wait in milliseconds; 0: none. */
  readonly waitMs: number;
  /** Waits between two attempts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborts the wait. */
  readonly signal: AbortSignal;
}
