/**
 * What tests of channels do again and again.
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
/** A lease that outlasts a test, on a busy machine too. */
export const LONG_MS = 600_000;
/** After how long what has to come at once counts as not coming. */
const PATIENCE_MS = 60_000;
/** A lease that runs out, and a wait that is long enough to see nothing come. */
export const SHORT_MS = 60;

/** A signal that is never aborted. */
export const NEVER: AbortSignal = new AbortController().signal;

/** A transport of one's own, empty at first. */
export interface Transport extends AsyncDisposable {
  /** Another handle on it, as another process would have; the transport closes it in the end. */
  open(): Promise<Channel>;
  /** How another process opens it, where one can. */
  readonly place?: ChannelPlace;
}

/** Tests a promise on a transport that is empty, with a first handle on it. */
export type Case = (transport: Transport, channel: Channel) => Promise<void>;
/** Tests of promises, by the promise. */
export type Cases = Readonly<Record<string, Case>>;

/** A message for the box. */
export function message(id: string, body = `{"id":"${id}"}`): Outgoing {
  return { to: BOX, id, body };
}

/** The next message, which has to come. A test may await something else first: what fails meanwhile fails where this is awaited. */
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

/** Asserts that there is nothing to claim for `ms`. */
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

/** How many messages and dead letters a mailbox holds. */
export async function depths(channel: Channel, mailbox: string): Promise<{ depth: number; dead: number }> {
  const { depth, dead } = await channel.mailbox(mailbox).state();
  return { depth, dead };
}

/** Asks again and again until the answer is true. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    assert.ok(performance.now() < deadline, "it didn't come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A consumer in a process of its own, see `consumer.ts`. */
export interface Consumer extends AsyncDisposable {
  /** The next line that it writes. */
  next(): Promise<string | undefined>;
  kill(): Promise<void>;
  /** All lines that weren't read yet; to be called after `kill`. */
  rest(): Promise<string[]>;
}

/** Starts a consumer of the box at `place`, with the given rights. */
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
