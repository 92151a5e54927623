/**
 * How a process learns that another one has written to the queue file they share.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../errors/errors.ts";
import { Bell, type Wakeup } from "./bell.ts";

/** After a sign of life the version is looked at so often, … */
const ALERT_EVERY_MS = 2;
/** … for so long: the file changes a moment before the commit can be seen. */
const ALERT_FOR_MS = 60;
/** Without signs: for file systems that don't tell of changes. */
const CALM_EVERY_MS = 250;
/** The same, where the system doesn't tell at all. */
const BLIND_EVERY_MS = 25;

/**
 * Rings whenever somebody committed to the file: `ring` for this process's own commits, and `PRAGMA data_version` for those of others. While
 * somebody waits, the version is looked at now and then, and closely once the system tells that the write-ahead log has changed.
 */
export class Commits implements Wakeup, AsyncDisposable {
  readonly #bell = new Bell();
  #waiting = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #alertUntil = 0;
  #version: unknown;
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> | undefined;
  #blind = false;

  /**
   * Begins with the version of this moment.
   *
   * @param path of the database
   * @param version reads `PRAGMA data_version`; undefined when it can't be told at this moment
   */
  constructor(private readonly path: string, private readonly version: () => unknown) {
    this.#version = version();
  }

  /** How often there was news. */
  get rings(): number {
    return this.#bell.rings;
  }

  /** Tells of a commit of this process. */
  ring(): void {
    this.#bell.ring();
  }

  /** As promised by `Wakeup`. */
  async wait(since: number, ms: number, signal: AbortSignal): Promise<void> {
    this.#watching ??= this.#watchFile();
    this.#waiting += 1;
    this.#look();
    try {
      await this.#bell.wait(since, ms, signal);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#rest();
    }
  }

  /** Stops looking. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#rest();
    this.#watcher?.close();
    await this.#watching;
  }

  /** Rings if there is something new, and sees to it that this is called again while somebody waits. */
  #look(): void {
    this.#rest();
    const version = this.version();
    if (version !== undefined && version !== this.#version) {
      this.#version = version;
      this.#bell.ring();
    }
    if (this.#waiting === 0) return;
    const calm = this.#blind ? BLIND_EVERY_MS : CALM_EVERY_MS;
    this.#timer = setTimeout(
      () => this.#look(),
      performance.now() < this.#alertUntil ? ALERT_EVERY_MS : calm,
    );
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #watchFile(): Promise<void> {
    try {
      this.#watcher = Deno.watchFs(`${this.path}-wal`);
      for await (const _ of this.#watcher) {
        const calm = performance.now() >= this.#alertUntil;
        this.#alertUntil = performance.now() + ALERT_FOR_MS;
        if (calm && this.#waiting > 0) this.#look();
      }
    } catch (error) {
      this.#blind = true;
      getLogger(["etl", "channel"]).debug("changes of the queue file are looked for instead of told", {
        path: this.path,
        reason: messageOf(error),
      });
    }
  }
}
