import assert from "node:assert/strict";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import {
  BOX,
  depths,
  message,
  nothing,
  OUT,
  startConsumer,
  take,
  until,
} from "../../tests/conformance/channel_tools.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { listened, type PlainClient, plainClient } from "../../tests/support/redis_client.ts";
import { type Channel, REMEMBER_MS } from "./channel.ts";
import { openRedisChannel } from "./redis.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("redis-server");

/** Returns the ids of the messages in the stream. */
async function idsIn(client: PlainClient): Promise<(string | undefined)[]> {
  return (await client.xRange(BOX, "-", "+") ?? []).map(({ message }) => message.id);
}

test("a plain subscriber gets exactly the published bytes, and the stream already has them", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using subscriber = await plainClient(server);
  using reader = await plainClient(server);
  const seen: string[] = [];
  const lengths: Promise<number>[] = [];
  await subscriber.subscribe([BOX, OUT], (body, name) => {
    seen.push(body);
    lengths.push(reader.xLen(name));
  });
  await channel.publish(message("1", '{"id":"1","raw_file":"ä.jsonl"}'), message("2", "plain"));
  await channel.publish(message("1", "known already"));
  await (await take(channel)).complete({ to: OUT, id: "1/out", body: '{"id":"1/out"}' });
  await until(() => Promise.resolve(seen.length >= 3));
  assert.deepEqual(seen, ['{"id":"1","raw_file":"ä.jsonl"}', "plain", '{"id":"1/out"}']);
  assert.deepEqual(await Promise.all(lengths), [2, 2, 1]);
});

test("a foreign message is adopted once and in order, even with two consumers", async () => {
  await using server = await startRedis();
  await using one = await openRedisChannel({ url: server.url });
  await using two = await openRedisChannel({ url: server.url });
  await using onlooker = await openRedisChannel({ url: server.url });
  using foreign = await plainClient(server);
  await onlooker.watch(BOX, new AbortController().signal);
  const bodies = [
    '{"raw_file":"data/raw_users/records_20261124_030007.jsonl"}',
    "not JSON at all",
    "[1,2]",
    '{"id":7}',
    '{"id":"theirs","raw_file":"x"}',
  ];
  await foreign.publish(BOX, "nobody claims yet");
  const stop = new AbortController();
  const seen: string[] = [];
  const consume = async (channel: Channel) => {
    for (;;) {
      const claim = await channel.claim(BOX, { leaseMs: 30_000, signal: stop.signal });
      if (claim === undefined) return;
      seen.push(`${claim.id.slice(0, 7)} ${claim.attempt} ${claim.body}`);
      await claim.complete();
    }
  };
  const consumers = [consume(one), consume(two)];
  await listened(foreign, BOX, 3);
  for (const body of [...bodies, ...bodies]) await foreign.publish(BOX, body);
  await one.publish(message("ours"), message("no id in it", "ours, but plain"));
  await foreign.publish(BOX, "last");
  await until(() => Promise.resolve(seen.some((line) => line.endsWith("last"))));
  stop.abort();
  await Promise.all(consumers);
  assert.deepEqual(
    seen.toSorted(),
    [
      ...bodies.slice(0, 4).map((body) => `sha256: 1 ${body}`),
      `theirs 1 ${bodies[4]}`,
      'ours 1 {"id":"ours"}',
      "no id i 1 ours, but plain",
      "sha256: 1 last",
    ].toSorted(),
  );
  assert.deepEqual(await depths(one, BOX), { depth: 0, dead: 0 });
});

test("a foreign message of invalid UTF-8 is adopted and keeps its bytes as a dead letter; a body that is too long is refused and logged", async () => {
  const records: LogRecord[] = [];
  await configure({
    sinks: { list: (record) => records.push(record) },
    loggers: [
      { category: "etl", sinks: ["list"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
  });
  try {
    await using server = await startRedis();
    await using channel = await openRedisChannel({ url: server.url });
    using foreign = await plainClient(server);
    const claiming = take(channel);
    await listened(foreign, BOX, 1);
    await foreign.publish(BOX, "x".repeat(1024 * 1024 + 1));
    await channel.publish({ to: OUT, id: "long", body: "y".repeat(2 * 1024 * 1024) });
    const garbage = Buffer.from([0xff, 0x00, 0xfe, 0x0a, 0x80]);
    await foreign.publish(BOX, garbage);
    const claim = await claiming;
    assert.equal(claim.body, "\ufffd\0\ufffd\n\ufffd");
    await claim.bury("not UTF-8");
    const [letter] = await foreign.sendCommand(["XRANGE", `${BOX}:dead`, "-", "+"], {
      typeMapping: { 36: Buffer },
    }) as unknown as [unknown, Buffer[]][];
    assert.deepEqual(letter![1][3], garbage);
    assert.equal((await take(channel, OUT)).body.length, 2 * 1024 * 1024);
    const refused = records.filter((record) => record.level === "error");
    assert.equal(refused.length, 1);
    assert.equal(refused[0]!.properties.bytes, 1024 * 1024 + 1);
    assert.ok(!JSON.stringify(records).includes("xxx"));
  } finally {
    await reset();
  }
});

test("a listening consumer adopts foreign messages without a claim", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  await channel.listening(BOX, AbortSignal.timeout(60_000));
  using foreign = await plainClient(server);
  await foreign.publish(BOX, '{"id":"foreign"}');
  assert.equal((await take(channel)).id, "foreign");
});

test("a server that evicts keys when its memory is full, or doesn't persist, causes a warning", async () => {
  await using server = await startRedis();
  using operator = await plainClient(server);
  await using channel = await openRedisChannel({ url: server.url });
  assert.equal(await channel.ping(), undefined);
  await operator.configSet("maxmemory-policy", "allkeys-lru");
  assert.match(await channel.ping() ?? "", /maxmemory-policy is "allkeys-lru"\. Set it to "noeviction"/);
  await operator.configSet("appendonly", "no");
  assert.match(await channel.ping() ?? "", /"noeviction"\. .* appendonly is off\. Set it to yes/);
  await operator.sendCommand(["ACL", "SETUSER", "default", "-info"]);
  assert.equal(await channel.ping(), undefined, "where INFO is refused, nothing is said");
});

test("trimming keeps entries that any group has yet to read or to acknowledge", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, keepSettledMs: 0 });
  using other = await plainClient(server);
  const completeOne = async () => await (await take(channel)).complete();
  await channel.publish(...["1", "2", "3", "4", "5"].map((id) => message(id)));
  await other.xGroupCreate(BOX, "other", "0");
  for (let i = 0; i < 4; i += 1) await completeOne();
  assert.equal(await other.xLen(BOX), 5);
  const read = await other.xReadGroup("other", "c", { key: BOX, id: ">" }, { COUNT: 3 });
  const [first, second, third] = (read as { messages: { id: string }[] }[])[0]!.messages;
  await other.xAck(BOX, "other", [first!.id, third!.id]);
  await completeOne();
  assert.deepEqual(await idsIn(other), [
    "2",
    "3",
    "4",
    "5",
  ]);
  assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
  await other.xAck(BOX, "other", second!.id);
  await channel.publish(message("6"), message("7"));
  await completeOne();
  assert.deepEqual(await idsIn(other), [
    "3",
    "4",
    "5",
    "6",
    "7",
  ]);
  await other.xGroupDestroy(BOX, "other");
  await completeOne();
  assert.deepEqual(await idsIn(other), ["7"]);
});

test("a stream whose ids are ahead of the clock, as after a foreign entry, is trimmed too, and loses no waiting message", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  await other.configSet("appendfsync", "no"); // thousands of commands that needn't be durable
  await other.xAdd(BOX, `${Date.now()}000000-0`, { id: "foreign", body: "" }); // nanoseconds
  await (await take(channel)).complete();
  const kept = 1_000;
  await channel.publish(message("waits"));
  const waits = await take(channel);
  const settleMore = async () => {
    for (let i = 0; i < kept; i += 100) {
      const ids = Array.from({ length: 100 }, () => crypto.randomUUID());
      await channel.publish(...ids.map((id) => message(id)));
      for (const _ of ids) await (await take(channel)).complete();
    }
  };
  await settleMore();
  assert.equal((await idsIn(other))[0], "waits");
  await waits.complete();
  await settleMore();
  assert.equal(await other.xLen(BOX), kept);
});

test("settled messages stay readable for a while", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using reader = await plainClient(server);
  await channel.publish(message("1"), message("2"));
  await (await take(channel)).complete();
  await (await take(channel)).complete();
  assert.equal(await reader.xLen(BOX), 2);
  assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
});

test("ids are forgotten seven days after their messages were settled", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  await channel.publish(message("old"), message("recent"), message("next"));
  await (await take(channel)).complete();
  await (await take(channel)).complete();
  await other.zAdd(`${BOX}:ids`, { score: Date.now() - REMEMBER_MS - 1_000, value: "old" });
  await (await take(channel)).complete();
  await channel.publish(message("old"), message("recent"));
  assert.equal((await take(channel)).id, "old");
  await nothing(channel);
});

test("removed scripts, entries and whole databases do no harm", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  await channel.publish(message("1"), message("2"), message("3"));
  await (await take(channel)).retry(0, "again");
  const [entry] = await other.xRange(BOX, "-", "+") ?? [];
  await other.xDel(BOX, entry!.id);
  await other.sendCommand(["SCRIPT", "FLUSH"]);
  assert.equal((await take(channel)).id, "2");
  assert.deepEqual(await depths(channel, BOX), { depth: 2, dead: 0 });
  await other.flushAll();
  await channel.publish(message("1"));
  assert.equal((await take(channel)).id, "1");
});

test("an entry that somebody adds to the stream by hand is handed out", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  const entry = await other.xAdd(BOX, "*", { body: "by hand" });
  const claim = await take(channel);
  assert.deepEqual([claim.id, claim.body], [entry, "by hand"]);
  await claim.complete();
});

test("it needs no right but the one to connect to the server", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  await channel.publish(message("m"));
  const place = { redisUrl: server.url, queuePath: "" };
  await using consumer = startConsumer(place, "drain", [`--allow-net=127.0.0.1:${server.port}`]);
  assert.equal(await consumer.next(), "claimed m 1");
});
