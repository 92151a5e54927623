/**
 * Tools for tests of channels.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Channel, Claim, Outgoing } from "../../shared/channel/channel.ts";
import type { ChannelPlace } from "../../shared/channel/open.ts";
import { linesOf } from "../support/output.ts";

/** The mailbox that tests publish to. */
export const BOX = "channel:box";
export const OUT = "channel:out";
/** A lease that outlasts a test, even on a busy machine. */
export const LONG_MS = 600_000;
/** The longest wait for something that should happen at once. */
const PATIENCE_MS = 60_000;
/** A lease that expires during a test, and a wait that is long enough to see that nothing arrives. */
export const SHORT_MS = 60;

/** A signal that is never aborted. */
export const NEVER: AbortSignal = new AbortController().signal;

/** A separate transport, empty at first. */
export interface Transport extends AsyncDisposable {
  /** Opens another handle, as another process would. The transport closes it. */
  open(): Promise<Channel>;
  /** How another process opens the transport, if it can. */
  readonly place?: ChannelPlace;
}

/** Tests a promise on an empty transport, with a first handle on it. */
export type Case = (transport: Transport, channel: Channel) => Promise<void>;
export type Cases = Readonly<Record<string, Case>>;

/** Returns a message for `BOX`. */
export function message(id: string, body = `{"id":"${id}"}`): Outgoing {
  return { to: BOX, id, body };
}

/**
 * Claims the next message, which has to arrive. A test may await something else first: an error in the
 * meantime is thrown when this is awaited.
 */
export function take(channel: Channel, mailbox = BOX, leaseMs = LONG_MS): Promise<Claim> {
  const claiming = claimNext(channel, mailbox, leaseMs);
  claiming.catch(() => {});
  return claiming;
}

async function claimNext(channel: Channel, mailbox: string, leaseMs: number): Promise<Claim> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE_MS);
  try {
    const claim = await channel.claim(mailbox, { leaseMs, signal: late.signal });
    assert.ok(claim !== undefined, `no message came from ${mailbox}`);
    return claim;
  } finally {
    clearTimeout(timer);
  }
}

/** Asserts that no message can be claimed for `ms`. */
export async function nothing(channel: Channel, ms = SHORT_MS, mailbox = BOX): Promise<void> {
  const enough = new AbortController();
  const timer = setTimeout(() => enough.abort(), ms);
  try {
    assert.equal(
      (await channel.claim(mailbox, { leaseMs: LONG_MS, signal: enough.signal }))?.id,
      undefined,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the number of messages and dead letters of a mailbox. */
export async function depths(channel: Channel, mailbox: string): Promise<{ depth: number; dead: number }> {
  const { depth, dead } = await channel.mailbox(mailbox).state();
  return { depth, dead };
}

/** Repeats `condition` until it returns true. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    assert.ok(performance.now() < deadline, "it didn't come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A consumer in a separate process; see `consumer.ts`. */
export interface Consumer extends AsyncDisposable {
  /** Returns the next line of its output. */
  next(): Promise<string | undefined>;
  kill(): Promise<void>;
  /** Returns all lines that weren't read yet. Call it after `kill`. */
  rest(): Promise<string[]>;
}

/** Starts a consumer of the mailbox at `place`, with the given permissions. */
export function startConsumer(
  place: ChannelPlace | undefined,
  then: "hold" | "drain",
  rights: readonly string[] = ["--allow-all"],
): Consumer {
  assert.ok(place !== undefined, "this transport can't be shared");
  const program = new URL("./consumer.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...rights, program, JSON.stringify(place), BOX, then],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  let killed = false;
  const kill = async () => {
    if (!killed) child.kill("SIGKILL");
    killed = true;
    await child.status;
  };
  return {
    next: async () => (await lines.next()).value,
    kill,
    rest: () => Array.fromAsync(lines),
    async [Symbol.asyncDispose]() {
      await kill();
      for await (const _ of lines);
    },
  };
}
