/**
 * The State port: what the extractor keeps beyond its own end, and the locks for changing it.
 *
 * @module
 */
import type { Documents } from "./documents.ts";

/** Checkpoints, announcements and the schedule's memory, by name; a checkpoint is changed only under its pipeline's lock. */
export interface State extends Documents {
  /**
   * Takes the lock `name`, waiting up to `waitMs` for its holder; the end of the holder's process frees it.
   *
   * @throws Busy naming the holder after a wait in vain.
   * @throws TransientError or PermanentError as the other methods.
   * @throws the signal's reason when `signal` ended the wait.
   */
  lock(name: string, options: LockOptions): Promise<StateLock>;
}

/** A held lock. Disposing releases it. */
export interface StateLock extends Disposable {
  /** The same texts, for the holder: once another process has the lock, writing and removing throw `TransientError` and change nothing. */
  readonly documents: Documents;
}

/** How to wait for a lock. */
export interface LockOptions {
  /** Milliseconds; 0: not at all. */
  readonly waitMs: number;
  /** Waits between two tries. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}
