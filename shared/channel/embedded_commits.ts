/** Notifies a process of commits of other processes to the shared queue file. */
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../errors/errors.ts";
import { Bell, type Wakeup } from "./bell.ts";

/** The polling interval if the system can't watch files, in milliseconds. */
const BLIND_EVERY_MS = 25;

/**
 * Rings whenever a process has committed messages to the queue file; that process then touches a file beside it. The queue file itself can't be
 * watched. Its write-ahead log changes before a commit is visible, and for beats, too. And watching opens and closes the file beside SQLite, which
 * loses the process's locks on it. A lost touch only delays a waiting consumer until its timeout.
 */
export class Commits implements Wakeup, AsyncDisposable {
  readonly #bell = new Bell();
  readonly #touched: string;
  #version: unknown;
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> | undefined;
  #blind = false;

  /**
   * Starts at the current version.
   *
   * @param path of the database
   * @param version reads `PRAGMA data_version`; undefined if it can't be read now
   */
  constructor(path: string, private readonly version: () => unknown) {
    this.#touched = `${path}-bell`;
    this.#version = version();
  }

  get rings(): number {
    return this.#bell.rings;
  }

  /** Signals a commit of this process, to itself and to the others. */
  ring(): void {
    this.#bell.ring();
    const now = new Date();
    try {
      Deno.utimeSync(this.#touched, now, now);
    } catch {
      // no process watches, or the file belongs to another user
    }
  }

  async wait(since: number, ms: number, signal: AbortSignal): Promise<void> {
    this.#watching ??= this.#watch();
    await this.#bell.wait(since, this.#blind ? Math.min(ms, BLIND_EVERY_MS) : ms, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watcher?.close();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    try {
      Deno.openSync(this.#touched, { append: true, create: true }).close();
      this.#watcher = Deno.watchFs(this.#touched);
      this.#look();
      for await (const _ of this.#watcher) this.#look();
    } catch (error) {
      this.#blind = true;
      getLogger(["etl", "channel"]).debug("changes of the queue file cannot be watched, polling instead", {
        path: this.#touched,
        reason: messageOf(error),
      });
    }
  }

  /** Rings if another process has committed: a process is notified of its own touches, too. */
  #look(): void {
    const version = this.version();
    if (version !== undefined && version === this.#version) return;
    this.#version = version;
    this.#bell.ring();
  }
}
