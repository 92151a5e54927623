import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { createClient } from "redis";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { depths, message, nothing, startConsumer, take, until } from "../../tests/conformance/channel.ts";
import { type RedisServer, startRedis } from "../../tests/support/redis.ts";
import { LeaseLost, PermanentError, TransientError } from "../errors/errors.ts";
import { type Channel, REMEMBER_MS } from "./channel.ts";
import { openRedisChannel } from "./redis.ts";

const BOX = "channel:box";
const OUT = "channel:out";
const CALL_MS = 400;

/** A client such as any other program has. */
async function plainClient({ url }: RedisServer) {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() });
}

/** Resolves when `count` clients listen to the Pub/Sub channel `name`. */
async function listened(client: Awaited<ReturnType<typeof plainClient>>, name: string, count: number) {
  await until(async () => (await client.pubSubNumSub(name))[name] === count);
}

/** The ids of the messages that are in the stream. */
async function idsIn(client: Awaited<ReturnType<typeof plainClient>>): Promise<(string | undefined)[]> {
  return (await client.xRange(BOX, "-", "+") ?? []).map(({ message }) => message.id);
}

/** Does it again until the server is back, as callers of the port do. */
async function insist(work: () => Promise<void>): Promise<void> {
  await until(() =>
    work().then(() => true, (error) => {
      if (error instanceof TransientError && !(error instanceof LeaseLost)) return false;
      throw error;
    })
  );
}

Deno.test("a plain subscriber sees exactly what is published, and the stream has it by then", async () => {
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

Deno.test("what a foreign program publishes is taken in once, in its order, although two consumers listen", async () => {
  await using server = await startRedis();
  await using one = await openRedisChannel({ url: server.url });
  await using two = await openRedisChannel({ url: server.url });
  await using onlooker = await openRedisChannel({ url: server.url });
  using foreign = await plainClient(server);
  await onlooker.watch(BOX, new AbortController().signal);
  const bodies = [
    '{"raw_file":"data/raw_users/records_20261124_030007.jsonl"}',
    "no JSON at all",
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

Deno.test("bytes that are no text are taken in and keep their bytes as a dead letter; a body that is too long is refused and logged", async () => {
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

Deno.test("a server that is killed again and again loses nothing, and nothing comes twice", async () => {
  await using server = await startRedis();
  await using producer = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  await using consumer = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  const ids = Array.from({ length: 300 }, (_, i) => `m${String(i).padStart(3, "0")}`);
  let handled = 0;
  const stop = new AbortController();
  const consuming = (async () => {
    for (;;) {
      const claim = await consumer.claim(BOX, { leaseMs: 500, signal: stop.signal });
      if (claim === undefined) return;
      try {
        await insist(() => claim.complete({ to: OUT, id: `${claim.id}/out`, body: claim.body }));
      } catch (error) {
        // Its reply was lost, or its lease while the server was away.
        if (!(error instanceof LeaseLost)) throw error;
      }
      handled += 1;
    }
  })();
  const producing = (async () => {
    for (const id of ids) await insist(() => producer.publish(message(id)));
  })();
  for (const mark of [60, 150]) {
    await until(() => Promise.resolve(handled >= mark));
    await server.kill();
    await server.start();
  }
  await producing;
  await until(async () => (await producer.mailbox(BOX).state()).depth === 0);
  stop.abort();
  await consuming;
  assert.equal((await producer.mailbox(OUT).state()).depth, ids.length);
  const outputs: string[] = [];
  for (const _ of ids) outputs.push((await take(producer, OUT)).id);
  assert.deepEqual(outputs.toSorted(), ids.map((id) => `${id}/out`));
});

Deno.test("claims and watches wait through a restart of the server", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  const end = new AbortController();
  const bodies = await channel.watch(BOX, end.signal);
  const next = bodies[Symbol.asyncIterator]().next();
  const claiming = take(channel);
  await server.kill();
  await server.start();
  await using other = await openRedisChannel({ url: server.url });
  await other.publish(message("after"));
  assert.equal((await claiming).id, "after");
  assert.equal((await next).value, '{"id":"after"}');
  end.abort();
});

Deno.test("a foreign message is taken in after a restart of the server too", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  const claiming = take(channel);
  await server.kill();
  await server.start();
  using foreign = await plainClient(server);
  await listened(foreign, BOX, 1);
  await foreign.publish(BOX, "hello");
  assert.equal((await claiming).body, "hello");
});

Deno.test("publishing while the server is down or stuck fails in bounded time, and works again after", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  const inBoundedTime = async (id: string) => {
    const start = performance.now();
    await assert.rejects(channel.publish(message(id)), (error: Error) => {
      assert.ok(error instanceof TransientError);
      assert.match(error.message, /^Cannot publish on "channel:box": Redis at "redis:\/\/127/);
      return true;
    });
    assert.ok(performance.now() - start < 4 * CALL_MS);
  };
  await server.stop();
  await inBoundedTime("down");
  await assert.rejects(channel.ping(), TransientError);
  await assert.rejects(channel.mailbox(BOX).state(), TransientError);
  await server.start();
  await insist(() => channel.publish(message("down")));
  server.freeze();
  await inBoundedTime("stuck");
  server.thaw();
  await insist(() => channel.publish(message("stuck")));
  assert.deepEqual([(await take(channel)).id, (await take(channel)).id], ["down", "stuck"]);
  await nothing(channel);
});

Deno.test("a channel can be opened and closed while the server is away", async () => {
  await using server = await startRedis();
  await server.stop();
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  const claiming = take(channel);
  await server.start();
  await insist(() => channel.publish(message("m")));
  assert.equal((await claiming).id, "m");
  await server.stop();
  await assert.rejects(channel.ping(), TransientError);
});

Deno.test("a channel can be closed at any moment while its connections are made", async () => {
  await using server = await startRedis();
  using other = await plainClient(server);
  for (let turns = 0; turns < 30; turns += 1) {
    const channel = await openRedisChannel({ url: server.url });
    // Each run is as the first: closing may meet a subscription half made.
    await other.sendCommand(["SCRIPT", "FLUSH"]);
    const claiming = channel.claim(BOX, { leaseMs: 1_000, signal: new AbortController().signal });
    if (turns % 2 === 0) await channel.watch(BOX, new AbortController().signal);
    else for (let turn = 0; turn < turns; turn += 1) await setImmediate();
    const start = performance.now();
    await channel[Symbol.asyncDispose]();
    assert.equal(await claiming, undefined);
    assert.ok(performance.now() - start < 4_000, `closing took long after ${turns} turns`);
  }
});

Deno.test("a reply that is lost makes the caller repeat, and the repeat changes nothing", async () => {
  await using server = await startRedis();
  await using line = cuttableLine(server.port);
  await using channel = await openRedisChannel({ url: line.url, callTimeoutMs: CALL_MS });
  await using direct = await openRedisChannel({ url: server.url });
  await channel.publish(message("first"));
  await (await take(channel)).complete();
  line.cutBeforeReply();
  await assert.rejects(channel.publish(message("m")), TransientError);
  await until(async () => (await direct.mailbox(BOX).state()).depth === 1);
  await insist(() => channel.publish(message("m")));
  const claim = await take(channel);
  line.cutBeforeReply();
  await assert.rejects(claim.complete({ to: OUT, id: "m/out", body: "" }), TransientError);
  await assert.rejects(insist(() => claim.complete({ to: OUT, id: "m/out", body: "" })), LeaseLost);
  assert.deepEqual(await depths(direct, BOX), { depth: 0, dead: 0 });
  assert.deepEqual(await depths(direct, OUT), { depth: 1, dead: 0 });
});

Deno.test("trimming spares what any group has yet to read or to acknowledge", async () => {
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

Deno.test("settled messages stay readable for a while", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using reader = await plainClient(server);
  await channel.publish(message("1"), message("2"));
  await (await take(channel)).complete();
  await (await take(channel)).complete();
  assert.equal(await reader.xLen(BOX), 2);
  assert.deepEqual(await depths(channel, BOX), { depth: 0, dead: 0 });
});

Deno.test("messages that wait, ids and depth survive a restart in order", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, keepSettledMs: 0 });
  await channel.publish(...["1", "2", "3", "4"].map((id) => message(id)));
  await (await take(channel)).complete();
  await (await take(channel)).retry(0, "again");
  await server.stop();
  await server.start();
  await insist(() => channel.publish(message("1")));
  assert.deepEqual(await depths(channel, BOX), { depth: 3, dead: 0 });
  const claim = await take(channel);
  assert.deepEqual([claim.id, claim.attempt], ["2", 2]);
});

Deno.test("ids are forgotten seven days after their messages were settled", async () => {
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

Deno.test("a key of another type is a permanent failure, and none of the messages is published", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  await other.set(OUT, "somebody else's");
  await channel.publish(message("in"));
  const claim = await take(channel);
  const wanted = (error: Error) => {
    assert.ok(error instanceof PermanentError, String(error));
    assert.match(error.message, /holds something else\. Rename that key/);
    return true;
  };
  await assert.rejects(channel.publish(message("m"), { to: OUT, id: "n", body: "" }), wanted);
  await assert.rejects(claim.complete(message("m"), { to: OUT, id: "n", body: "" }), wanted);
  await assert.rejects(take(channel, OUT), wanted);
  assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 0 });
  await claim.complete();
});

Deno.test("a password that is missing or wrong is a permanent failure that doesn't show it", async () => {
  const password = "s3cret-p4ss";
  await using server = await startRedis({ password });
  const without = `redis://127.0.0.1:${server.port}`;
  await assert.rejects(openRedisChannel({ url: without }), (error: Error) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /wants a password\. Put one into REDIS_URL/);
    return true;
  });
  for (
    const url of [`redis://:wr0ng@127.0.0.1:${server.port}`, `redis://:wr0ng%zz@127.0.0.1`, "redis:wr0ng@x y"]
  ) {
    await assert.rejects(openRedisChannel({ url }), (error: Error) => {
      assert.ok(error instanceof PermanentError);
      assert.ok(!Deno.inspect(error).includes("wr0ng"), Deno.inspect(error));
      return true;
    });
  }
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  await channel.publish(message("m"));
  await server.stop();
  await assert.rejects(channel.ping(), (error: Error) => !Deno.inspect(error).includes(password));
});

Deno.test("a server without memory, or one that is a replica, is a transient failure", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  await channel.publish(message("before"));
  await other.configSet("maxmemory", "1");
  await assert.rejects(channel.publish(message("m")), /its memory is used up/);
  await other.configSet("maxmemory", "0");
  await other.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
  await assert.rejects(channel.publish(message("m")), (error: Error) => {
    assert.ok(error instanceof TransientError);
    assert.match(error.message, /a replica that takes no writes/);
    return true;
  });
  await other.sendCommand(["REPLICAOF", "NO", "ONE"]);
  await channel.publish(message("m"));
  assert.deepEqual(await depths(channel, BOX), { depth: 2, dead: 0 });
});

Deno.test("scripts, entries and whole databases that somebody removes do no harm", async () => {
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

Deno.test("an entry that somebody adds to the stream by hand is handed out", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  using other = await plainClient(server);
  const entry = await other.xAdd(BOX, "*", { body: "by hand" });
  const claim = await take(channel);
  assert.deepEqual([claim.id, claim.body], [entry, "by hand"]);
  await claim.complete();
});

Deno.test("the right to connect to the server is the only right that it needs", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url });
  await channel.publish(message("m"));
  const place = { redisUrl: server.url, queuePath: "" };
  await using consumer = startConsumer(place, "drain", [`--allow-net=127.0.0.1:${server.port}`]);
  assert.equal(await consumer.next(), "claimed m 1");
});

/** A line to the server on `port` that can be cut after a command has gone through and before its reply has. */
function cuttableLine(port: number): AsyncDisposable & { url: string; cutBeforeReply(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  let cutting = false;
  const relay = async (near: Deno.Conn) => {
    const far = await Deno.connect({ hostname: "127.0.0.1", port });
    open.add(near).add(far);
    const back = (async () => {
      for await (const reply of far.readable) {
        if (cutting) {
          cutting = false;
          break;
        }
        await write(near, reply);
      }
    })();
    const forth = (async () => {
      for await (const command of near.readable) await write(far, command);
    })();
    await Promise.race([back, forth]).catch(() => {});
    for (const side of [near, far]) {
      open.delete(side);
      try {
        side.close();
      } catch {
        // Its readable was cancelled, which closed it.
      }
    }
    await Promise.allSettled([back, forth]);
  };
  const serving = (async () => {
    const relays: Promise<void>[] = [];
    for await (const near of listener) relays.push(relay(near));
    await Promise.all(relays);
  })();
  return {
    url: `redis://127.0.0.1:${listener.addr.port}`,
    cutBeforeReply() {
      cutting = true;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const side of open) side.close();
      await serving;
    },
  };
}

async function write(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}
