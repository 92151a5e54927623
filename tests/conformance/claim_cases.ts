/**
 * Tests the promises of the `Channel` port about publishing, claiming and settling.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Channel } from "../../shared/channel/channel.ts";
import { LeaseLost } from "../../shared/errors/errors.ts";
import {
  BOX,
  type Cases,
  depths,
  LONG_MS,
  message,
  nothing,
  OUT,
  SHORT_MS,
  startConsumer,
  take,
  until,
} from "./channel_tools.ts";

export const CLAIM_CASES: Cases = {
  "messages are claimed in publishing order, with their published content": async (_, channel) => {
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

  "pipelines take turns: a backlog of one doesn't block another, and each keeps its order": async (
    _,
    channel,
  ) => {
    const of = (pipeline: string, i: number) =>
      message(`${pipeline}${i}`, JSON.stringify({ id: `${pipeline}${i}`, pipeline, note: "x" }));
    await channel.publish(...Array.from({ length: 50 }, (_, i) => of("many", i)));
    const next = async () => {
      const claim = await take(channel);
      await claim.complete();
      return [claim.id, claim.attempt];
    };
    assert.deepEqual(await next(), ["many0", 1]);
    await channel.publish(of("few", 0), of("few", 1), message("of no pipeline"), of("many", 50));
    const order = [];
    for (let i = 0; i < 53; i++) order.push(await next());
    assert.deepEqual(order.slice(0, 5).map(([id]) => id).sort(), [
      "few0",
      "few1",
      "many1",
      "many2",
      "of no pipeline",
    ]);
    const ofMany = order.filter(([id]) => String(id).startsWith("many"));
    assert.deepEqual(ofMany, Array.from({ length: 50 }, (_, i) => [`many${i + 1}`, 1]));
    await nothing(channel);
  },

  "a claim waits for a message that is published later": async (transport, channel) => {
    const claiming = take(channel);
    await (await transport.open()).publish(message("late"));
    assert.equal((await claiming).id, "late");
  },

  "a known id is ignored, also after its message was completed": async (_, channel) => {
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

  "known outputs are not published again": async (_, channel) => {
    await channel.publish(message("in"), { to: OUT, id: "in/1", body: "one" });
    await (await take(channel)).complete({ to: OUT, id: "in/1", body: "again" });
    assert.equal((await channel.mailbox(OUT).state()).depth, 1);
  },

  "a message that is handed back can be claimed after its delay, with the attempt counted": async (
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

  "a waiting claim gets a message that somebody else hands back": async (transport, channel) => {
    await channel.publish(message("m"));
    const other = await transport.open();
    const claim = await take(other);
    const waiting = take(channel);
    await claim.retry(30, "try there");
    assert.equal((await waiting).attempt, 2);
  },

  "a message handed back as new keeps its attempt": async (_, channel) => {
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

  "a message whose lease expires is handed out again, and its first holder can't settle it": async (
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

  "an expired lease can still be settled while nobody else has the message": async (_, channel) => {
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

  "a killed consumer loses nothing: its message is redelivered with the attempt counted": async (
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
    const handled = [...await one.rest(), ...await two.rest()];
    assert.equal(new Set(handled).size, handled.length);
    assert.ok(handled.every((line) => / 1$/.test(line)));
    assert.deepEqual(outputs.toSorted(), ids.map((id) => `${id}/out`));
  },

  "an aborted claim returns nothing and takes nothing": async (_, channel) => {
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
};

async function publishMany(channel: Channel, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `m${String(i).padStart(4, "0")}`);
  await channel.publish(...ids.map((id) => message(id)));
  return ids;
}
