/**
 * An actor's entry in the directory: who it is, what it does, how far it is.
 *
 * @module
 */
import { hostname } from "node:os";
import { getLogger } from "@logtape/logtape";
import type { Beat, Channel, Progress } from "../channel/channel.ts";

/** How often progress is told at most, in milliseconds. */
const PROGRESS_EVERY_MS = 500;

/** Tells the directory about one actor instance. A directory that can't be reached is no reason to stop work: beats are then skipped. */
export class Presence implements AsyncDisposable {
  /** The instance's name: `host:pid:random`. */
  readonly instance: string;
  #beat: Beat;
  #lastTold = 0;
  #telling: Promise<void> = Promise.resolve();

  /** Makes an entry for `actor`, to be told on `channel`. */
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

  /** Tells a new state, and the run it is about. */
  async show(state: Beat["state"], runId?: string): Promise<void> {
    const { current: _, ...rest } = this.#beat;
    this.#beat = runId === undefined
      ? { ...rest, state }
      : { ...rest, state, current: { runId, done: 0, unit: "records" } };
    await this.#tell();
  }

  /** Tells that the work goes on. */
  alive(): void {
    void this.#tell();
  }

  /** Reports how far the work is; most calls only take note. */
  progress(progress: Progress): void {
    const { current } = this.#beat;
    if (current === undefined) return;
    this.#beat = { ...this.#beat, current: { runId: current.runId, ...progress } };
    if (Date.now() - this.#lastTold >= PROGRESS_EVERY_MS) void this.#tell();
  }

  /** Counts a settled message. */
  count(outcome: string): void {
    if (outcome === "done") this.#beat = { ...this.#beat, handled: this.#beat.handled + 1 };
    if (outcome === "never") this.#beat = { ...this.#beat, failed: this.#beat.failed + 1 };
  }

  /** Tells that the actor has stopped. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.show("stopped");
  }

  #tell(): Promise<void> {
    this.#lastTold = Date.now();
    this.#beat = { ...this.#beat, at: this.#lastTold };
    const beat = this.#beat;
    this.#telling = this.#telling.then(() => this.channel.beat(beat)).catch((error) => {
      getLogger(["etl", "directory"]).debug("beat not told", {
        reason: error instanceof Error ? error.message : String(error),
      });
    });
    return this.#telling;
  }
}
