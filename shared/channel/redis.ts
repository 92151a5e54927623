/**
 * A channel on a Redis server (7 or newer). Each mailbox is a stream, read by the consumer group `etl`, with Pub/Sub as its public view. See
 * `redis_scripts.ts` for the keys.
 *
 * Other programs may subscribe to the Pub/Sub channel with a mailbox's name, and may publish on it. The consumers of that mailbox adopt such a
 * message: they append it to the stream. All keys must be on one server; Redis Cluster isn't supported.
 */
import { getLogger } from "@logtape/logtape";
import { clockProblem } from "../contracts/clocks.ts";
import { LeaseLost, PermanentError, TransientError } from "../errors/errors.ts";
import { readAtEachRing, waitForClaim } from "./bell.ts";
import type { Beat, Channel, Claim, DeadLetter, Mailbox, MailboxState, Outgoing } from "./channel.ts";
import { BEAT, BEAT_KEYS, BEATS } from "./redis_beats.ts";
import { type Address, addressOf, Connection } from "./redis_connection.ts";
import { Listener, seenAs } from "./redis_pubsub.ts";
import { dangersOf, unfit } from "./redis_server.ts";
import * as scripts from "./redis_scripts.ts";

interface RedisOptions {
  /** `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS. */
  readonly url: string;
  /** Time limit of a call, waiting for a connection included, in milliseconds. Default 5,000. */
  readonly callTimeoutMs?: number;
  /** How long settled messages stay readable in the stream, for `watch` and other programs, in milliseconds. Default 300,000. */
  readonly keepSettledMs?: number;
}

/** How often a mailbox is read without a notification. */
const POLL_MS = 1_000;
/** How long a claim waits for a server that can't be reached before it throws. */
const CLAIM_PATIENCE_MS = 15_000;
const RETRY_CLAIM_MS = 250;
const READ_AT_ONCE = "100";

/**
 * Opens a channel on the server at `url`. If the server can't be reached, the channel connects in the background.
 *
 * @throws PermanentError if the URL is invalid, or the server is too old or refuses user and password.
 */
export async function openRedisChannel(options: RedisOptions): Promise<Channel> {
  const channel = new RedisChannel(addressOf(options.url), options);
  try {
    const warning = await channel.ping();
    if (warning !== undefined) getLogger(["etl", "channel"]).warning(warning);
  } catch (error) {
    if (!(error instanceof TransientError)) {
      await channel[Symbol.asyncDispose]();
      throw error;
    }
  }
  return channel;
}

class RedisChannel implements Channel {
  readonly #commands: Connection;
  readonly #listener: Listener;
  readonly #keepSettledMs: number;
  readonly #closed = new AbortController();
  /** Tokens of claims without a reply, by mailbox. The next claim repeats the token, so that a lost reply costs no attempt. */
  readonly #unanswered = new Map<string, string[]>();

  constructor(address: Address, { callTimeoutMs = 5_000, keepSettledMs = 300_000 }: RedisOptions) {
    this.#commands = new Connection(address, "commands", callTimeoutMs);
    this.#listener = new Listener(address, callTimeoutMs, this.#commands);
    this.#commands.onDemoted = () => this.#listener.reconnect();
    this.#keepSettledMs = keepSettledMs;
  }

  async publish(...messages: Outgoing[]): Promise<void> {
    if (messages.length === 0) return;
    const action = `publish on ${messages.map(({ to }) => `"${to}"`).join(", ")}`;
    await this.#commands.run(action, scripts.PUBLISH, mailboxesOf(messages), argumentsOf(messages));
  }

  async publishIfIdle(mailbox: string, text: string, ...messages: Outgoing[]): Promise<boolean> {
    const action = `publish on "${mailbox}"`;
    const keys = [mailbox, ...mailboxesOf(messages)];
    return await this.#commands.run(action, scripts.PUBLISH_IF_IDLE, keys, [
      text,
      ...argumentsOf(messages),
    ]) === 1;
  }

  async claim(
    mailbox: string,
    options: { leaseMs: number; signal: AbortSignal },
  ): Promise<Claim | undefined> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    const bell = await this.#listener.listen(mailbox, { adopt: true });
    let awaySince: number | undefined;
    return await waitForClaim(bell, signal, async () => {
      try {
        const found = await this.#take(mailbox, Math.round(options.leaseMs), signal);
        awaySince = undefined;
        return found;
      } catch (error) {
        if (signal.aborted) return 0;
        awaySince ??= Date.now();
        if (error instanceof PermanentError || Date.now() - awaySince > CLAIM_PATIENCE_MS) throw error;
        return RETRY_CLAIM_MS;
      }
    });
  }

  async listening(mailbox: string, signal: AbortSignal): Promise<void> {
    await this.#listener.listening(mailbox, AbortSignal.any([signal, this.#closed.signal]));
  }

  async watch(mailbox: string, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const action = `watch "${mailbox}"`;
    const bell = await this.#listener.listen(mailbox, { adopt: false });
    const readOn = async (from: string) =>
      await this.#commands.run(action, scripts.READ_ON, [mailbox], [from, READ_AT_ONCE]) as [
        string,
        ...string[],
      ];
    let [cursor] = await readOn("");
    const read = async () => {
      try {
        const [next, ...bodies] = await readOn(cursor);
        cursor = next;
        return bodies;
      } catch (error) {
        if (error instanceof TransientError || this.#closed.signal.aborted) return [];
        throw error;
      }
    };
    return readAtEachRing(bell, AbortSignal.any([signal, this.#closed.signal]), read, POLL_MS);
  }

  mailbox(name: string): Mailbox {
    return new RedisMailbox(name, this.#commands);
  }

  async beat(beat: Beat): Promise<void> {
    const args = [`${beat.actor} ${beat.instance}`, String(beat.at), JSON.stringify(beat)];
    await this.#commands.run("enter a beat", BEAT, BEAT_KEYS, args);
  }

  async beats(): Promise<Beat[]> {
    const beats = await this.#commands.run("read beats", BEATS, BEAT_KEYS, []) as string[];
    return beats.map((beat) => JSON.parse(beat) as Beat).sort(byActorAndInstance);
  }

  async ping(): Promise<string | undefined> {
    const before = Date.now();
    const found = await this.#commands.run("reach the channel", scripts.PING, ["ping"], []);
    const [version, policy, keeps, now] = found as [string, string, string, number];
    const facts = { version, policy, keeps };
    const { shown } = this.#commands.address;
    const wrong = unfit(facts);
    if (wrong !== undefined) throw new PermanentError(`Cannot use Redis at "${shown}": ${wrong}.`);
    const clock = clockProblem(`Redis at ${shown}`, now, { before, after: Date.now() });
    const warnings = [...dangersOf(facts), ...clock === undefined ? [] : [clock]];
    return warnings.length === 0 ? undefined : warnings.join(" ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#listener[Symbol.asyncDispose]();
    await this.#commands[Symbol.asyncDispose]();
  }

  async #take(mailbox: string, leaseMs: number, signal: AbortSignal): Promise<Claim | number> {
    const unanswered = this.#unanswered.get(mailbox) ?? [];
    this.#unanswered.set(mailbox, unanswered);
    const again = unanswered.pop();
    const token = again ?? crypto.randomUUID();
    const args = [String(leaseMs), token, again === undefined ? "0" : "1"];
    const action = `claim from "${mailbox}"`;
    let reply: Taken | [number];
    try {
      reply = await this.#commands.run(action, scripts.CLAIM, [mailbox], args, signal) as typeof reply;
    } catch (error) {
      unanswered.push(token);
      throw error;
    }
    if (reply.length === 1) return reply[0] < 0 ? POLL_MS : Math.min(reply[0], POLL_MS);
    return new RedisClaim(this.#commands, mailbox, reply, token, leaseMs, this.#keepSettledMs);
  }
}

type Taken = [entry: string, id: string, body: string, attempt: number];

class RedisClaim implements Claim {
  readonly id: string;
  readonly body: string;
  readonly attempt: number;
  readonly publishedAt: number;
  readonly #entry: string;

  constructor(
    private readonly commands: Connection,
    private readonly mailbox: string,
    [entry, id, body, attempt]: Taken,
    private readonly token: string,
    private readonly leaseMs: number,
    private readonly keepSettledMs: number,
  ) {
    this.#entry = entry;
    this.id = id;
    this.body = body;
    this.attempt = attempt;
    this.publishedAt = Number.parseInt(entry);
  }

  async extend(): Promise<void> {
    const args = [this.#entry, this.token, String(this.leaseMs)];
    const action = `renew the lease of message "${this.id}" of "${this.mailbox}"`;
    this.#wasOurs(action, await this.commands.run(action, scripts.EXTEND, [this.mailbox], args));
  }

  async complete(...outputs: Outgoing[]): Promise<void> {
    await this.#settle("complete", this.id, String(this.keepSettledMs), outputs);
  }

  async retry(
    afterMs: number,
    reason: string,
    { asIfNew = false, outputs = [] }: { asIfNew?: boolean; outputs?: readonly Outgoing[] } = {},
  ): Promise<void> {
    getLogger(["etl", "channel"]).debug("message handed back", {
      mailbox: this.mailbox,
      id: this.id,
      afterMs,
      reason,
    });
    await this.#settle("retry", String(Math.round(afterMs)), asIfNew ? "1" : "0", outputs);
  }

  async bury(reason: string, ...outputs: Outgoing[]): Promise<void> {
    await this.#settle("bury", this.id, reason, outputs);
  }

  async #settle(
    verb: "complete" | "retry" | "bury",
    a: string,
    b: string,
    outputs: readonly Outgoing[],
  ): Promise<void> {
    const keys = [this.mailbox, ...mailboxesOf(outputs)];
    const args = [this.#entry, this.token, verb, a, b, ...argumentsOf(outputs)];
    const action = `${verb} message "${this.id}" of "${this.mailbox}"`;
    this.#wasOurs(action, await this.commands.run(action, scripts.SETTLE, keys, args));
  }

  #wasOurs(action: string, reply: unknown): void {
    if (reply === 1) return;
    throw new LeaseLost(
      `Cannot ${action}: its lease ran out and it was handed to another consumer, or it is settled already. Drop the work.`,
    );
  }
}

class RedisMailbox implements Mailbox {
  constructor(private readonly name: string, private readonly commands: Connection) {}

  async state(): Promise<MailboxState> {
    const [depth, oldest, paused, dead] = await this.#run("read the state", scripts.STATE) as [
      number,
      number,
      number,
      number,
    ];
    return { depth, oldestAgeMs: oldest < 0 ? undefined : oldest, paused: paused === 1, dead };
  }

  async pause(): Promise<void> {
    await this.#run("pause claims", scripts.PAUSE);
  }

  async resume(): Promise<void> {
    await this.#run("resume claims", scripts.RESUME);
  }

  async dead({ limit, after = "" }: { limit: number; after?: string }): Promise<DeadLetter[]> {
    const letters = await this.#run("read dead letters", scripts.DEAD, String(limit), after) as string[][];
    return letters.map(([id = "", body = "", reason = "", attempts = "0", entry = "0"]) => (
      { mailbox: this.name, id, body, reason, attempts: Number(attempts), buriedAt: Number.parseInt(entry) }
    ));
  }

  async replay(id: string): Promise<boolean> {
    return await this.#run(`replay dead letter "${id}"`, scripts.UNBURY, id, "1") === 1;
  }

  async discard(id: string): Promise<boolean> {
    return await this.#run(`discard dead letter "${id}"`, scripts.UNBURY, id, "0") === 1;
  }

  #run(action: string, script: scripts.Script, ...args: string[]): Promise<unknown> {
    return this.commands.run(`${action} of "${this.name}"`, script, [this.name], args);
  }
}

function mailboxesOf(messages: readonly Outgoing[]): string[] {
  return messages.map(({ to }) => to);
}

/** The arguments of the scripts for each message, in the order of `mailboxesOf`. */
function argumentsOf(messages: readonly Outgoing[]): (string | Uint8Array)[] {
  return messages.flatMap(({ id, body }) => {
    const bytes = new TextEncoder().encode(body);
    return [id, bytes, seenAs(bytes)];
  });
}

function byActorAndInstance(a: Beat, b: Beat): number {
  return compare(a.actor, b.actor) || compare(a.instance, b.instance);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
