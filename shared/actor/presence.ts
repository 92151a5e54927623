/** An actor's entry in the directory. */
import { hostname } from "node:os";
import { getLogger } from "@logtape/logtape";
import type { Beat, Channel, Progress } from "../channel/channel.ts";
import { messageOf } from "../errors/errors.ts";
import { pause } from "./backoff.ts";

/** The shortest time between two reports of progress, in milliseconds. */
const PROGRESS_EVERY_MS = 500;

/** How long the last beat of an instance may delay its end, in milliseconds. */
const LAST_BEAT_MS = 1_000;

/**
 * Sends the beats of one actor instance. An unreachable directory doesn't stop the work. While a beat is being sent,
 * only the newest next one is kept. The last beat is skipped if the directory was unavailable.
 */
export class Presence implements AsyncDisposable {
  /** The instance's name: `host:pid:random`. */
  readonly instance: string;
  #beat: Beat;
  #sending: Promise<void> | undefined;
  #isDue = false;
  #isAway = false;
  #isEnded = false;

  constructor(actor: { name: string; mailbox: string }, private readonly channel: Channel) {
    const host = hostname();
    this.instance = `${host}:${Deno.pid}:${crypto.randomUUID().slice(0, 8)}`;
    const now = Date.now();
    this.#beat = {
      actor: actor.name,
      instance: this.instance,
      host,
      pid: Deno.pid,
      mailbox: actor.mailbox,
      state: "idle",
      handled: 0,
      failed: 0,
      startedAt: now,
      at: now,
    };
  }

  async show(state: Beat["state"], runId?: string, pipeline?: string): Promise<void> {
    const { current: _, ...rest } = this.#beat;
    this.#beat = {
      ...rest,
      state,
      ...(runId === undefined ? {} : {
        current: { runId, ...(pipeline === undefined ? {} : { pipeline }), done: 0, unit: "records" },
      }),
    };
    await this.#send();
  }

  alive(): void {
    void this.#send();
  }

  /** Sent at intervals. */
  progress(progress: Progress): void {
    const { current, at } = this.#beat;
    if (current === undefined) return;
    const { runId, pipeline } = current;
    const about = pipeline === undefined ? { runId } : { runId, pipeline };
    this.#beat = { ...this.#beat, current: { ...about, ...progress } };
    if (Date.now() - at >= PROGRESS_EVERY_MS) void this.#send();
  }

  count(outcome: string): void {
    if (outcome === "done") this.#beat = { ...this.#beat, handled: this.#beat.handled + 1 };
    if (outcome === "never") this.#beat = { ...this.#beat, failed: this.#beat.failed + 1 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const waited = new AbortController();
    const last = this.#isAway ? Promise.resolve() : this.show("stopped");
    this.#isEnded = true;
    await Promise.race([last, pause(LAST_BEAT_MS, waited.signal)]);
    waited.abort();
  }

  #send(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    this.#beat = { ...this.#beat, at: Date.now() };
    this.#isDue = true;
    return this.#sending ??= this.#sendNewest().finally(() => this.#sending = undefined);
  }

  async #sendNewest(): Promise<void> {
    while (this.#isDue) {
      this.#isDue = false;
      try {
        await this.channel.beat(this.#beat);
        this.#isAway = false;
      } catch (error) {
        this.#isAway = true;
        if (this.#isEnded) return;
        getLogger(["etl", "directory"]).debug("beat not sent", { reason: messageOf(error) });
      }
    }
  }
}
