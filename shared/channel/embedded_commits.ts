/** How a process learns that another one has written news to the queue file they share. */
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../errors/errors.ts";
import { Bell, type Wakeup } from "./bell.ts";

/** How often those who wait look by themselves, where the system doesn't tell of changes. */
const BLIND_EVERY_MS = 25;

/**
 * Rings whenever a process committed news to the queue file; it then touches a file beside it. The queue file itself can't be
 * watched: the write-ahead log changes a moment before the commit can be seen, and for beats too; and a process that opens and closes the database
 * beside SQLite, as watching does, loses the process's locks on it. A touch that gets lost costs no more than the time that `wait` is given.
 */
export class Commits implements Wakeup, AsyncDisposable {
  readonly #bell = new Bell();
  readonly #touched: string;
  #version: unknown;
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> | undefined;
  #blind = false;

  /**
   * Begins with the version of this moment.
   *
   * @param path of the database
   * @param version reads `PRAGMA data_version`; undefined when it can't be read at this moment
   */
  constructor(path: string, private readonly version: () => unknown) {
    this.#touched = `${path}-bell`;
    this.#version = version();
  }

  /** How often there was news. */
  get rings(): number {
    return this.#bell.rings;
  }

  /** Signals a commit of this process, here and to the others. */
  ring(): void {
    this.#bell.ring();
    const now = new Date();
    try {
      Deno.utimeSync(this.#touched, now, now);
    } catch {
      // Nobody watches, or it is another user's.
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

  /** Rings unless all that was committed is known: a process is notified of its own touches too. */
  #look(): void {
    const version = this.version();
    if (version !== undefined && version === this.#version) return;
    this.#version = version;
    this.#bell.ring();
  }
}
