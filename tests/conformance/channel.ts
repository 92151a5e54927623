/**
 * What every adapter of the `Channel` port has to keep: one suite, run against each of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Channel, Claim, Outgoing } from "../../shared/channel/channel.ts";
import type { ChannelPlace } from "../../shared/channel/open.ts";
import { LeaseLost } from "../../shared/errors/errors.ts";
import { linesOf } from "../support/output.ts";

/** A transport of one's own, empty at first. */
export interface Transport extends AsyncDisposable {
  /** Another handle on it, as another process would have; the transport closes it in the end. */
  open(): Promise<Channel>;
  /** How another process opens it, where one can. */
  readonly place?: ChannelPlace;
}

/** An adapter under test. */
export interface Subject {
  /** Its name, in the names of the tests. */
  readonly name: string;
  /** Makes a transport for one test. */
  start(): Promise<Transport>;
  /** Cases that can't hold for this adapter, and why. */
  readonly skip?: readonly { readonly case: string; readonly reason: string }[];
}

type Case = (transport: Transport, channel: Channel) => Promise<void>;

const BOX = "channel:box";
const OUT = "channel:out";
const LONG_MS = 30_000;
const SHORT_MS = 60;
const NEVER = new AbortController().signal;

/** Registers a test for each case. @throws Error when `skip` names no case. */
export function testChannel(subject: Subject): void {
  const skipped = new Map(subject.skip?.map((each) => [each.case, each.reason]));
  for (const [name, run] of Object.entries(CASES)) {
    const reason = skipped.get(name);
    skipped.delete(name);
    Deno.test({
      name: `${subject.name}: ${name}${reason === undefined ? "" : ` (not here: ${reason})`}`,
      ignore: reason !== undefined,
      async fn() {
        await using transport = await subject.start();
        await run(transport, await transport.open());
      },
    });
  }
  if (skipped.size > 0) throw new Error(`There is no case "${[...skipped.keys()].join('", "')}" to skip.`);
}

const CASES: Readonly<Record<string, Case>> = {
  "messages come in publishing order, with what was published": async (_, channel) => {
    const before = Date.now();
    const bodies = ["plain", '{"id":"1","name":"Ünïcödé ✓"}', "", "line\nbreak \0 nul"];
    await channel.publish(...bodies.slice(0, 2).map((body, i) => message(`m${i}`, body)));
    await channel.publish(...bodies.slice(2).map((body, i) => message(`m${i + 2}`, body)));
    for (const [i, body] of bodies.entries()) {
      const claim = await take(channel);
      assert.equal(claim.id, `m${i}`);
      assert.equal(claim.body, body);
      assert.equal(claim.attempt, 1);
      assert.ok(claim.publishedAt >= before - 1_000 && claim.publishedAt <= Date.now() + 1_000);
      await claim.complete();
    }
    await nothing(channel);
  },

  "a claim waits for a message that is published later": async (transport, channel) => {
    const claiming = take(channel);
    await (await transport.open()).publish(message("late"));
    assert.equal((await claiming).id, "late");
  },

  "an id that is known is passed over, also after its message was completed": async (_, channel) => {
    await channel.publish(message("same", "first"), message("same", "second"));
    await channel.publish(message("same", "third"));
    assert.equal((await channel.mailbox(BOX).state()).depth, 1);
    const claim = await take(channel);
    assert.equal(claim.body, "first");
    await claim.complete();
    await channel.publish(message("same", "fourth"), message("other"));
    assert.equal((await take(channel)).id, "other");
    await channel.publish({ to: OUT, id: "same", body: "another mailbox" });
    assert.equal((await take(channel, OUT)).body, "another mailbox");
  },

  "completing publishes the outputs and settles the message": async (_, channel) => {
    await channel.publish(message("in"));
    const claim = await take(channel);
    await claim.complete({ to: OUT, id: "in/1", body: "one" }, { to: OUT, id: "in/2", body: "two" });
    assert.equal((await channel.mailbox(BOX).state()).depth, 0);
    assert.equal((await take(channel, OUT)).body, "one");
    assert.equal((await take(channel, OUT)).body, "two");
  },

  "outputs that are known already are not published again": async (_, channel) => {
    await channel.publish(message("in"), { to: OUT, id: "in/1", body: "one" });
    await (await take(channel)).complete({ to: OUT, id: "in/1", body: "again" });
    assert.equal((await channel.mailbox(OUT).state()).depth, 1);
  },

  "a message that is handed back comes again after its delay, with the attempt counted": async (
    _,
    channel,
  ) => {
    await channel.publish(message("again"), message("next"));
    const delayMs = 150;
    const claim = await take(channel);
    const handedBackAt = performance.now();
    await claim.retry(delayMs, "the source is away", { outputs: [{ to: OUT, id: "news", body: "again" }] });
    assert.equal((await take(channel)).id, "next");
    const second = await take(channel);
    assert.ok(performance.now() - handedBackAt >= delayMs - 5);
    assert.equal(second.id, "again");
    assert.equal(second.attempt, 2);
    assert.equal(second.publishedAt, claim.publishedAt);
    assert.equal((await take(channel, OUT)).id, "news");
  },

  "a claim that waits learns of a message that somebody else hands back": async (transport, channel) => {
    await channel.publish(message("m"));
    const other = await transport.open();
    const claim = await take(other);
    const waiting = take(channel);
    await claim.retry(30, "try there");
    assert.equal((await waiting).attempt, 2);
  },

  "a message handed back as if new keeps its attempt": async (_, channel) => {
    await channel.publish(message("m"));
    await (await take(channel)).retry(0, "the service stops", { asIfNew: true });
    const again = await take(channel);
    assert.equal(again.attempt, 1);
    await again.retry(0, "failed");
    const third = await take(channel);
    assert.equal(third.attempt, 2);
    await third.retry(0, "the service stops", { asIfNew: true });
    assert.equal((await take(channel)).attempt, 2);
  },

  "a message whose lease runs out is handed out again, and its first holder can't settle it": async (
    transport,
    channel,
  ) => {
    await channel.publish(message("m"));
    const lost = await take(channel, BOX, SHORT_MS);
    const other = await transport.open();
    const found = await take(other);
    assert.equal(found.id, "m");
    assert.equal(found.attempt, 2);
    const output = { to: OUT, id: "m/out", body: "late" };
    await assert.rejects(lost.complete(output), LeaseLost);
    await assert.rejects(lost.retry(0, "late", { outputs: [output] }), LeaseLost);
    await assert.rejects(lost.bury("late", output), LeaseLost);
    await assert.rejects(lost.extend(), LeaseLost);
    assert.deepEqual(await depths(channel, OUT), { depth: 0, dead: 0 });
    assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 0 });
    await found.complete(output);
    assert.equal((await take(channel, OUT)).id, "m/out");
    await assert.rejects(found.complete(), LeaseLost);
  },

  "a lease that ran out can still be settled while nobody else has the message": async (_, channel) => {
    await channel.publish(message("m"));
    const claim = await take(channel, BOX, 1);
    await until(async () => (await channel.mailbox(BOX).state()).oldestAgeMs! > 20);
    await claim.complete();
    await nothing(channel);
  },

  "a lease that is renewed holds": async (_, channel) => {
    await channel.publish(message("m"));
    const leaseMs = 200;
    const claim = await take(channel, BOX, leaseMs);
    const end = performance.now() + 2 * leaseMs;
    while (performance.now() < end) {
      await claim.extend();
      await nothing(channel, leaseMs / 4);
    }
    await claim.complete();
    assert.equal((await channel.mailbox(BOX).state()).depth, 0);
  },

  "a consumer that is killed loses nothing: its message comes again with the attempt counted": async (
    transport,
    channel,
  ) => {
    await channel.publish(message("m"));
    await using consumer = startConsumer(transport.place, "hold");
    assert.equal(await consumer.next(), "claimed m 1");
    await consumer.kill();
    const claim = await take(channel);
    assert.equal(claim.id, "m");
    assert.equal(claim.attempt, 2);
  },

  "a message that is buried becomes a dead letter with its text, reason and attempts": async (_, channel) => {
    const box = channel.mailbox(BOX);
    await channel.publish(message("bad", "not \0 JSON ✓"));
    await (await take(channel)).retry(0, "once more");
    const before = Date.now();
    await (await take(channel)).bury('field "x" is missing', { to: OUT, id: "told", body: "news" });
    assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 1 });
    const [letter] = await box.dead({ limit: 10 });
    const { buriedAt, ...rest } = letter!;
    assert.deepEqual(rest, {
      mailbox: BOX,
      id: "bad",
      body: "not \0 JSON ✓",
      reason: 'field "x" is missing',
      attempts: 2,
    });
    assert.ok(buriedAt >= before - 1_000 && buriedAt <= Date.now() + 1_000);
    assert.equal((await take(channel, OUT)).id, "told");
    await channel.publish(message("bad"));
    await nothing(channel);
  },

  "dead letters are read newest first, page by page": async (_, channel) => {
    const ids = ["a", "b", "c", "d", "e"];
    await channel.publish(...ids.map((id) => message(id)));
    for (const id of ids) await (await take(channel)).bury(`because of ${id}`);
    const box = channel.mailbox(BOX);
    const page = async (after?: string) =>
      (await box.dead({ limit: 2, ...(after === undefined ? {} : { after }) })).map(({ id }) => id);
    assert.deepEqual(await page(), ["e", "d"]);
    assert.deepEqual(await page("d"), ["c", "b"]);
    assert.deepEqual(await page("b"), ["a"]);
    assert.deepEqual(await page("a"), []);
    assert.deepEqual(await page("nobody"), []);
  },

  "a dead letter that is replayed comes as a new message, once": async (_, channel) => {
    const box = channel.mailbox(BOX);
    await channel.publish(message("m", "text"));
    await (await take(channel)).bury("no lookup");
    const waiting = take(channel);
    assert.equal(await box.replay("m"), true);
    const claim = await waiting;
    assert.deepEqual([claim.id, claim.body, claim.attempt], ["m", "text", 1]);
    assert.equal(await box.replay("m"), false);
    assert.equal(await box.replay("never there"), false);
    await claim.complete();
    assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
  },

  "a dead letter that is discarded is gone, and its id stays known": async (_, channel) => {
    const box = channel.mailbox(BOX);
    await channel.publish(message("m"));
    await (await take(channel)).bury("useless");
    assert.equal(await box.discard("m"), true);
    assert.equal(await box.discard("m"), false);
    assert.equal(await box.replay("m"), false);
    await channel.publish(message("m"));
    assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
  },

  "depth counts what waits, is delayed or is held; age is that of the oldest": async (_, channel) => {
    const box = channel.mailbox(BOX);
    assert.deepEqual(await box.state(), { depth: 0, oldestAgeMs: undefined, paused: false, dead: 0 });
    await channel.publish(message("held"));
    await until(async () => (await box.state()).oldestAgeMs! >= 30);
    await channel.publish(message("delayed"), message("waits"));
    const held = await take(channel);
    await (await take(channel)).retry(LONG_MS, "later");
    const state = await box.state();
    assert.equal(state.depth, 3);
    assert.ok(state.oldestAgeMs! >= 30 && state.oldestAgeMs! < 20_000);
    await held.complete();
    assert.equal((await box.state()).depth, 2);
    await (await take(channel)).complete();
    assert.equal((await box.state()).depth, 1);
  },

  "a paused mailbox hands out nothing, to nobody, until it is resumed": async (transport, channel) => {
    const other = await transport.open();
    await channel.mailbox(BOX).pause();
    await channel.mailbox(BOX).pause();
    const waiting = take(other);
    await channel.publish(message("m"));
    await nothing(channel);
    assert.deepEqual(await other.mailbox(BOX).state().then(({ paused, depth }) => ({ paused, depth })), {
      paused: true,
      depth: 1,
    });
    await channel.publish({ to: OUT, id: "elsewhere", body: "" });
    assert.equal((await take(other, OUT)).id, "elsewhere");
    await channel.mailbox(BOX).resume();
    assert.equal((await waiting).id, "m");
    assert.equal((await other.mailbox(BOX).state()).paused, false);
  },

  "closing and opening again keeps everything": async (transport, channel) => {
    await channel.publish(message("done"), message("dead"), message("held"), message("waits"));
    await (await take(channel)).complete();
    await (await take(channel)).bury("bad");
    await take(channel, BOX, SHORT_MS);
    await channel.mailbox(OUT).pause();
    await channel[Symbol.asyncDispose]();
    const again = await transport.open();
    assert.deepEqual(await depths(again, BOX), { depth: 2, dead: 1 });
    assert.equal((await again.mailbox(OUT).state()).paused, true);
    await again.publish(message("done"));
    assert.equal(await again.mailbox(BOX).replay("dead"), true);
    const claims = [await take(again), await take(again), await take(again)];
    assert.deepEqual(
      claims.map(({ id, attempt }) => `${id} ${attempt}`).sort(),
      ["dead 1", "held 2", "waits 1"],
    );
  },

  "two consumers never hold the same message": async (transport, channel) => {
    const ids = await publishMany(channel, 300);
    const stop = new AbortController();
    const seen: string[] = [];
    const held = new Set<string>();
    const consume = async (consumer: Channel) => {
      while (true) {
        const claim = await consumer.claim(BOX, { leaseMs: LONG_MS, signal: stop.signal });
        if (claim === undefined) return;
        assert.ok(!held.has(claim.id), `${claim.id} is held twice`);
        held.add(claim.id);
        await Promise.resolve();
        held.delete(claim.id);
        await claim.complete();
        seen.push(claim.id);
        if (seen.length === ids.length) stop.abort();
      }
    };
    await Promise.all([consume(channel), consume(await transport.open())]);
    assert.deepEqual(seen.toSorted(), ids);
    await nothing(channel);
  },

  "two processes never hold the same message": async (transport, channel) => {
    const ids = await publishMany(channel, 400);
    await using one = startConsumer(transport.place, "drain");
    await using two = startConsumer(transport.place, "drain");
    const outputs: string[] = [];
    while (outputs.length < ids.length) {
      const claim = await take(channel, `${BOX}:out`);
      await claim.complete();
      outputs.push(claim.id);
    }
    await nothing(channel, SHORT_MS, `${BOX}:out`);
    assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
    await Promise.all([one.kill(), two.kill()]);
    const told = [...await one.rest(), ...await two.rest()];
    assert.equal(new Set(told).size, told.length);
    assert.ok(told.every((line) => / 1$/.test(line)));
    assert.deepEqual(outputs.toSorted(), ids.map((id) => `${id}/out`));
  },

  "a watch sees what is published after it began, outputs too, and each once": async (transport, channel) => {
    await channel.publish(message("before", "before"));
    const end = new AbortController();
    const bodies = await (await transport.open()).watch(BOX, end.signal);
    await channel.publish({ to: OUT, id: "in", body: "elsewhere" }, message("1", "one"));
    await (await take(channel, OUT)).complete(message("2", "two"));
    await (await take(channel)).complete();
    await (await take(channel)).retry(0, "again");
    await (await take(channel)).complete();
    await channel.publish(message("3", "three"));
    const seen: string[] = [];
    for await (const body of bodies) {
      seen.push(body);
      if (body === "three") end.abort();
    }
    assert.deepEqual(seen, ["one", "two", "three"]);
  },

  "a watch ends with its signal, also while nothing comes": async (_, channel) => {
    const end = new AbortController();
    const bodies = await channel.watch(BOX, end.signal);
    const next = bodies[Symbol.asyncIterator]().next();
    end.abort();
    assert.equal((await next).done, true);
  },

  "a claim that is aborted answers nothing and takes nothing": async (_, channel) => {
    assert.equal(await channel.claim(BOX, { leaseMs: LONG_MS, signal: AbortSignal.abort() }), undefined);
    const ids = Array.from({ length: 30 }, (_, i) => `m${i}`);
    for (const id of ids) {
      const abort = new AbortController();
      const claiming = channel.claim(BOX, { leaseMs: LONG_MS, signal: abort.signal });
      const publishing = channel.publish(message(id));
      await Promise.resolve();
      abort.abort();
      await publishing;
      await (await claiming)?.retry(0, "not wanted", { asIfNew: true });
    }
    const seen = [];
    for (const _ of ids) {
      const claim = await take(channel);
      assert.equal(claim.attempt, 1);
      seen.push(claim.id);
    }
    assert.deepEqual(seen.toSorted(), ids.toSorted());
  },

  "closing ends the claims and watches that wait, and later calls fail": async (_, channel) => {
    const claiming = channel.claim(BOX, { leaseMs: LONG_MS, signal: NEVER });
    const next = (await channel.watch(BOX, NEVER))[Symbol.asyncIterator]().next();
    await channel[Symbol.asyncDispose]();
    assert.equal(await claiming, undefined);
    assert.equal((await next).done, true);
    await assert.rejects(channel.publish(message("m")), /closed/);
    await assert.rejects(channel.ping(), /closed/);
  },

  "the directory keeps the last beat of each instance, for an hour": async (transport, channel) => {
    const beat = {
      host: "h",
      pid: 7,
      mailbox: BOX,
      state: "idle",
      handled: 0,
      failed: 0,
      startedAt: 1,
    } as const;
    const at = Date.now();
    const saver = { ...beat, actor: "saver", instance: "s1", at };
    const working = {
      ...beat,
      actor: "extractor",
      instance: "e2",
      at,
      state: "working",
      current: { runId: "r", records: 3, total: 9 },
    } as const;
    await channel.beat(saver);
    await channel.beat({ ...beat, actor: "extractor", instance: "e2", at: at - 1 });
    await channel.beat(working);
    await channel.beat({ ...working, instance: "e1" });
    await channel.beat({ ...beat, actor: "courier", instance: "c", at: at - 3_700_000 });
    assert.deepEqual(await (await transport.open()).beats(), [
      { ...working, instance: "e1" },
      working,
      saver,
    ]);
  },

  "a channel that is there answers a ping": async (_, channel) => {
    assert.equal(await channel.ping(), undefined);
  },
};

/** A message for the box. */
export function message(id: string, body = `{"id":"${id}"}`): Outgoing {
  return { to: BOX, id, body };
}

/** The next message, which has to come within ten seconds. */
export async function take(channel: Channel, mailbox = BOX, leaseMs = LONG_MS): Promise<Claim> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), 10_000);
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
  const deadline = performance.now() + 10_000;
  while (!await condition()) {
    assert.ok(performance.now() < deadline, "it didn't come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function publishMany(channel: Channel, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `m${String(i).padStart(4, "0")}`);
  await channel.publish(...ids.map((id) => message(id)));
  return ids;
}

/** A consumer in a process of its own, see `consumer.ts`. */
export interface Consumer extends AsyncDisposable {
  /** The next line that it writes. */
  next(): Promise<string | undefined>;
  /** Ends it at once. */
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
