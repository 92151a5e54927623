/**
 * A channel in the memory of one process, for tests. What is in it ends with the process.
 *
 * @module
 */
import { LeaseLost, PermanentError } from "../errors/errors.ts";
import { Bell, readAtEachRing, waitForClaim } from "./bell.ts";
import {
  type Beat,
  BEAT_TTL_MS,
  type Channel,
  type Claim,
  type DeadLetter,
  type Mailbox,
  type MailboxState,
  type Outgoing,
  REMEMBER_MS,
} from "./channel.ts";

/** Opens an empty channel that only whoever holds the returned object can reach. */
export function openMemoryChannel(): Channel {
  return new MemoryChannel();
}

const POLL_MS = 1_000;

interface Message {
  readonly id: string;
  readonly body: string;
  readonly publishedAt: number;
  state: "open" | "done" | "dead";
  attempts: number;
  /** When it may be handed out (again): end of the delay or of the lease. */
  dueAt: number;
  /** The claim that holds it. */
  holder: symbol | undefined;
  settledAt: number;
  reason: string;
}

/** A mailbox's messages by id, in publishing order, and every body that was ever appended. */
class Box {
  readonly messages = new Map<string, Message>();
  readonly appended: string[] = [];
  paused = false;

  append(id: string, body: string): void {
    const known = this.messages.get(id);
    if (known !== undefined && !(known.state === "done" && known.settledAt < Date.now() - REMEMBER_MS)) {
      return;
    }
    this.messages.delete(id);
    const now = Date.now();
    this.messages.set(id, {
      id,
      body,
      publishedAt: now,
      state: "open",
      attempts: 0,
      dueAt: now,
      holder: undefined,
      settledAt: 0,
      reason: "",
    });
    this.appended.push(body);
  }

  open(): Message[] {
    return [...this.messages.values()].filter((message) => message.state === "open");
  }

  dead(): Message[] {
    return [...this.messages.values()].filter((message) => message.state === "dead");
  }
}

class MemoryChannel implements Channel {
  readonly #boxes = new Map<string, Box>();
  readonly #beats = new Map<string, Beat>();
  readonly #bell = new Bell();
  readonly #closed = new AbortController();

  async publish(...messages: Outgoing[]): Promise<void> {
    await this.ping();
    this.#append(messages);
  }

  async claim(name: string, options: { leaseMs: number; signal: AbortSignal }): Promise<Claim | undefined> {
    await this.ping();
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    return await waitForClaim(this.#bell, signal, () => Promise.resolve(this.#take(name, options.leaseMs)));
  }

  async watch(name: string, signal: AbortSignal): Promise<AsyncIterable<string>> {
    await this.ping();
    const { appended } = this.#box(name);
    let next = appended.length;
    const read = () => {
      const bodies = appended.slice(next);
      next += bodies.length;
      return Promise.resolve(bodies);
    };
    return readAtEachRing(this.#bell, AbortSignal.any([signal, this.#closed.signal]), read, POLL_MS);
  }

  mailbox(name: string): Mailbox {
    return new MemoryMailbox(this.#box(name), name, this.#bell);
  }

  async beat(beat: Beat): Promise<void> {
    await this.ping();
    this.#beats.set(`${beat.actor} ${beat.instance}`, beat);
  }

  async beats(): Promise<Beat[]> {
    await this.ping();
    const oldest = Date.now() - BEAT_TTL_MS;
    for (const [key, beat] of this.#beats) if (beat.at < oldest) this.#beats.delete(key);
    return [...this.#beats.keys()].sort().map((key) => this.#beats.get(key)!);
  }

  ping(): Promise<void> {
    if (!this.#closed.signal.aborted) return Promise.resolve();
    return Promise.reject(new PermanentError("Cannot use the channel: it was closed. Open another one."));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    return Promise.resolve();
  }

  #box(name: string): Box {
    const box = this.#boxes.get(name) ?? new Box();
    this.#boxes.set(name, box);
    return box;
  }

  #append(messages: readonly Outgoing[]): void {
    for (const { to, id, body } of messages) this.#box(to).append(id, body);
    this.#bell.ring();
  }

  #take(name: string, leaseMs: number): Claim | number {
    const box = this.#box(name);
    if (box.paused) return POLL_MS;
    const open = box.open();
    const now = Date.now();
    const message = open.find(({ dueAt }) => dueAt <= now);
    if (message === undefined) return Math.min(POLL_MS, ...open.map(({ dueAt }) => dueAt - now));
    const holder = Symbol();
    Object.assign(message, { holder, attempts: message.attempts + 1, dueAt: now + leaseMs });
    const settle = async (outputs: readonly Outgoing[], change: Partial<Message>) => {
      await this.ping();
      if (message.holder !== holder) {
        throw new LeaseLost(
          `Cannot settle message "${message.id}" of ${name}: its lease ran out and it was handed to another consumer. Drop the work.`,
        );
      }
      Object.assign(message, change);
      this.#append(outputs);
    };
    const settled = (state: "done" | "dead", reason: string) => ({
      state,
      reason,
      settledAt: Date.now(),
      holder: undefined,
    });
    return {
      id: message.id,
      body: message.body,
      attempt: message.attempts,
      publishedAt: message.publishedAt,
      extend: () => settle([], { dueAt: Date.now() + leaseMs }),
      complete: (...outputs) => settle(outputs, settled("done", "")),
      bury: (reason, ...outputs) => settle(outputs, settled("dead", reason)),
      retry: (afterMs, reason, { asIfNew = false, outputs = [] } = {}) =>
        settle(outputs, {
          reason,
          holder: undefined,
          dueAt: Date.now() + afterMs,
          attempts: message.attempts - (asIfNew ? 1 : 0),
        }),
    };
  }
}

class MemoryMailbox implements Mailbox {
  constructor(private readonly box: Box, private readonly name: string, private readonly bell: Bell) {}

  state(): Promise<MailboxState> {
    const open = this.box.open();
    return Promise.resolve({
      depth: open.length,
      oldestAgeMs: open.length === 0
        ? undefined
        : Date.now() - Math.min(...open.map((message) => message.publishedAt)),
      paused: this.box.paused,
      dead: this.box.dead().length,
    });
  }

  pause(): Promise<void> {
    this.box.paused = true;
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.box.paused = false;
    this.bell.ring();
    return Promise.resolve();
  }

  dead({ limit, after }: { limit: number; after?: string }): Promise<DeadLetter[]> {
    const letters = this.box.dead().sort((a, b) => a.settledAt - b.settledAt).reverse();
    const from = after === undefined ? 0 : letters.findIndex(({ id }) => id === after) + 1;
    const page = after !== undefined && from === 0 ? [] : letters.slice(from, from + limit);
    return Promise.resolve(
      page.map(({ id, body, reason, attempts, settledAt }) => (
        { mailbox: this.name, id, body, reason, attempts, buriedAt: settledAt }
      )),
    );
  }

  replay(id: string): Promise<boolean> {
    const letter = this.box.messages.get(id);
    if (letter?.state !== "dead") return Promise.resolve(false);
    this.box.messages.delete(id);
    this.box.append(id, letter.body);
    this.bell.ring();
    return Promise.resolve(true);
  }

  discard(id: string): Promise<boolean> {
    const letter = this.box.messages.get(id);
    if (letter?.state !== "dead") return Promise.resolve(false);
    Object.assign(letter, { state: "done", settledAt: Date.now() });
    return Promise.resolve(true);
  }
}
