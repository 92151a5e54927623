/**
 * Tests the promises of the `Channel` port about mailboxes, dead letters, watches and the directory.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  BOX,
  type Cases,
  depths,
  LONG_MS,
  message,
  NEVER,
  nothing,
  OUT,
  SHORT_MS,
  take,
  until,
} from "./channel_tools.ts";

export const MAILBOX_CASES: Cases = {
  "a buried message becomes a dead letter with its text, reason and attempts": async (_, channel) => {
    const box = channel.mailbox(BOX);
    await channel.publish(message("bad", "not \0 JSON ✓"));
    await (await take(channel)).retry(0, "once more");
    const before = Date.now();
    await (await take(channel)).bury('field "x" is missing', { to: OUT, id: "notice", body: "news" });
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
    assert.equal((await take(channel, OUT)).id, "notice");
    await channel.publish(message("bad"));
    await nothing(channel);
  },

  "of several that publish at once if a mailbox is idle, one succeeds, until its messages are settled":
    async (
      _,
      channel,
    ) => {
      const tried = (id: string) =>
        channel.publishIfIdle(BOX, "", message(id), { to: OUT, id, body: "news" });
      const results = await Promise.all(["a", "b", "c", "d"].map(tried));
      assert.deepEqual(results.filter(Boolean), [true]);
      const winner = ["a", "b", "c", "d"][results.indexOf(true)]!;
      assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 0 });
      assert.deepEqual(await depths(channel, OUT), { depth: 1, dead: 0 });
      assert.equal(
        await tried(winner),
        true,
        "a repeat, as after a lost reply, succeeds and appends nothing",
      );
      const held = await take(channel);
      assert.equal(held.id, winner);
      assert.equal(await tried("e"), false, "a message that is held counts");
      await held.retry(LONG_MS, "later");
      assert.equal(await tried("f"), false, "a message that is delayed counts");
      assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 0 });
      await channel.publish(message("g"));
      await (await take(channel)).complete();
      assert.equal(await tried("h"), false);
    },

  "a mailbox is idle for a text that none of its open messages contains": async (_, channel) => {
    const say = (id: string, body: string) =>
      channel.publishIfIdle(BOX, `<${body}>`, { to: BOX, id, body: `<${body}>` });
    assert.equal(await say("a", "one"), true);
    assert.equal(await say("b", "two"), true);
    assert.equal(await say("c", "one"), false, "while it waits");
    const first = await take(channel);
    assert.equal(await say("d", "one"), false, "while it is held");
    await first.retry(LONG_MS, "later");
    assert.equal(await say("e", "one"), false, "while it is delayed");
    const second = await take(channel);
    assert.deepEqual([first.id, second.id], ["a", "b"]);
    await second.complete();
    assert.equal(await say("f", "two"), true);
    assert.equal(await say("g", "%"), true, "the text is taken as it is");
  },

  "a mailbox whose only message is completed or buried is idle": async (_, channel) => {
    assert.equal(await channel.publishIfIdle(BOX, "", message("first")), true);
    await (await take(channel)).complete();
    assert.equal(await channel.publishIfIdle(BOX, "", message("second")), true);
    await (await take(channel)).bury("over");
    assert.equal(await channel.publishIfIdle(BOX, "", message("last")), true);
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

  "a replayed dead letter becomes a new message, once": async (_, channel) => {
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

  "a discarded dead letter is removed, and its id stays known": async (_, channel) => {
    const box = channel.mailbox(BOX);
    await channel.publish(message("m"));
    await (await take(channel)).bury("useless");
    assert.equal(await box.discard("m"), true);
    assert.equal(await box.discard("m"), false);
    assert.equal(await box.replay("m"), false);
    await channel.publish(message("m"));
    assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
  },

  "depth counts waiting, delayed and held messages; age is that of the oldest": async (_, channel) => {
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

  "a paused mailbox hands out nothing until it is resumed": async (transport, channel) => {
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

  "a watch receives messages published after it began, including outputs, each once": async (
    transport,
    channel,
  ) => {
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

  "a watch ends with its signal, also while nothing arrives": async (_, channel) => {
    const end = new AbortController();
    const bodies = await channel.watch(BOX, end.signal);
    const next = bodies[Symbol.asyncIterator]().next();
    end.abort();
    assert.equal((await next).done, true);
  },

  "closing ends waiting claims and watches, and later calls fail": async (_, channel) => {
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
      current: { runId: "r", done: 3, total: 9, unit: "bytes" },
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

  "a reachable channel answers a ping": async (_, channel) => {
    assert.equal(await channel.ping(), undefined);
  },
};
