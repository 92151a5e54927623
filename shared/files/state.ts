/**
 * The State port: what the extractor keeps between its lives, and the locks under which it changes that.
 *
 * @module
 */
import type { Documents } from "./documents.ts";

/** Checkpoints, announcements and the schedule's memory, by name; a checkpoint is changed through its pipeline's lock alone. */
export interface State extends Documents {
  /**
   * Takes the lock called `name`, waiting up to `waitMs` for its holder; the end of the holder's process frees it.
   *
   * @throws Busy naming the holder when the wait was in vain.
   * @throws TransientError or PermanentError as the other methods.
   * @throws the signal's reason when `signal` ended the wait.
   */
  lock(name: string, options: LockOptions): Promise<StateLock>;
}

/** A lock that is held. Disposing gives it back. */
export interface StateLock extends Disposable {
  /** The same texts, for the holder: once another process has the lock, writing and removing throw `TransientError` and change nothing. */
  readonly documents: Documents;
}

/** How a lock is waited for. */
export interface LockOptions {
  /** Milliseconds; 0: not at all. */
  readonly waitMs: number;
  /** Waits between two tries. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}
