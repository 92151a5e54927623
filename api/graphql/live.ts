/** The live view: one watch of the channel, shared by all subscriptions, and active only while there are any. */
import { getLogger } from "@logtape/logtape";
import { Repeater, SlidingBuffer } from "graphql-yoga";
import { backOff, pause } from "../../shared/actor/backoff.ts";
import { decode } from "../../shared/actor/message.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { type ActorView, viewActors } from "../actors.ts";

/** How many events a slow client may lag behind before it misses the oldest. */
const LAG = 1000;

/** How often changes of actors are polled, in milliseconds. */
const LOOK_EVERY_MS = 1000;

const log = getLogger(["etl", "api", "live"]);

export class Live {
  readonly runEvents: Hub<RunEvent>;
  /** Actors whose state, mailbox or instances have changed. */
  readonly actorChanges: Hub<ActorView>;

  /** Follows `channel`; `count` is called with the number of followers of each subscription. */
  constructor(channel: Channel, count: (subscription: string, open: number) => void) {
    this.runEvents = new Hub((signal) => watchRuns(channel, signal), (open) => count("runEvents", open));
    this.actorChanges = new Hub(
      (signal) => watchActors(channel, signal),
      (open) => count("actorChanges", open),
    );
  }

  close(): void {
    this.runEvents.close();
    this.actorChanges.close();
  }
}

/** Shares one source's items among all followers; the source runs only while there are any. */
class Hub<T> {
  readonly #followers = new Map<(item: T) => void, () => void>();
  #source: AbortController | undefined;

  /** `open` opens the source, which ends with the signal; `count` is called with the number of followers. */
  constructor(
    private readonly open: (signal: AbortSignal) => AsyncIterable<T>,
    private readonly count: (followers: number) => void,
  ) {}

  /** Items from now on. Ends when it is returned or the hub is closed. */
  follow(): Repeater<T> {
    return new Repeater<T>(async (push, stop) => {
      // a sliding buffer accepts any number of items, so no promise stays pending
      const take = (item: T) => void push(item);
      this.#followers.set(take, stop);
      this.#changed();
      await stop;
      this.#followers.delete(take);
      this.#changed();
    }, new SlidingBuffer(LAG));
  }

  close(): void {
    for (const stop of this.#followers.values()) stop();
  }

  #changed(): void {
    this.count(this.#followers.size);
    if (this.#followers.size === 0) {
      this.#source?.abort();
      this.#source = undefined;
    } else if (this.#source === undefined) {
      this.#source = new AbortController();
      void this.#run(this.#source.signal);
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        for await (const item of this.open(signal)) {
          failures = 0;
          for (const take of this.#followers.keys()) take(item);
        }
      } catch (error) {
        log.warning("the live view is interrupted", { reason: messageOf(error) });
      }
      await pause(backOff(++failures, { firstMs: 200, maxMs: 10_000 }), signal);
    }
  }
}

async function* watchRuns(channel: Channel, signal: AbortSignal): AsyncGenerator<RunEvent> {
  for await (const body of await channel.watch("channel:run_events", signal)) {
    try {
      yield decode("channel:run_events", body);
    } catch (error) {
      log.warning("unreadable event skipped", { reason: messageOf(error) });
    }
  }
}

async function* watchActors(channel: Channel, signal: AbortSignal): AsyncGenerator<ActorView> {
  const shown = new Map<string, string>();
  while (!signal.aborted) {
    for (const actor of await viewActors(channel)) {
      const view = JSON.stringify([
        { ...actor.mailbox, oldestAgeMs: undefined },
        actor.instances.map((beat) => ({ ...beat, at: undefined })),
      ]);
      if (shown.has(actor.name) && shown.get(actor.name) !== view) yield actor;
      shown.set(actor.name, view);
    }
    await pause(LOOK_EVERY_MS, signal);
  }
}
