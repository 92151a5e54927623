import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { BOX, depths, message, nothing, OUT, take, until } from "../../tests/conformance/channel_tools.ts";
import { Line } from "../../tests/support/line.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { listened, plainClient } from "../../tests/support/redis_client.ts";
import { LeaseLost, PermanentError, TransientError } from "../errors/errors.ts";
import { openRedisChannel } from "./redis.ts";
import * as scripts from "./redis_scripts.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("redis-server");

const CALL_MS = 1_500;

/** Retries until the server is back, as callers of the port do. */
async function insist(work: () => Promise<void>): Promise<void> {
  await until(() =>
    work().then(() => true, (error) => {
      if (error instanceof TransientError && !(error instanceof LeaseLost)) return false;
      throw error;
    })
  );
}

test("a server that is killed repeatedly loses and duplicates no message", async () => {
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
        // its reply was lost, or its lease expired while the server was down
        if (!(error instanceof LeaseLost)) throw error;
      }
      handled += 1;
    }
  })();
  const producing = (async () => {
    for (const id of ids) await insist(() => producer.publish(message(id)));
  })();
  const killing = (async () => {
    for (const mark of [60, 150]) {
      await until(() => Promise.resolve(handled >= mark));
      await server.kill();
      await server.start();
    }
  })();
  await Promise.race([consuming, Promise.all([producing, killing])]);
  await until(async () => (await producer.mailbox(BOX).state()).depth === 0);
  stop.abort();
  await consuming;
  assert.equal((await producer.mailbox(OUT).state()).depth, ids.length);
  const outputs: string[] = [];
  for (const _ of ids) outputs.push((await take(producer, OUT)).id);
  assert.deepEqual(outputs.toSorted(), ids.map((id) => `${id}/out`));
});

test("claims and watches wait through a restart of the server", async () => {
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

test("a foreign message is adopted after a restart of the server too", async () => {
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

test("publishing to a stopped or frozen server fails in bounded time, and works again afterwards", async () => {
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

test("a channel can be opened and closed while the server is unreachable", async () => {
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

test("a channel can be closed at any moment while it connects", async () => {
  await using server = await startRedis();
  using other = await plainClient(server);
  for (let turns = 0; turns < 30; turns += 1) {
    const channel = await openRedisChannel({ url: server.url });
    // adds the case in which closing interrupts a subscription
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

test("a lost reply makes the caller repeat, and the repeat changes nothing", async () => {
  await using server = await startRedis();
  await using line = cuttableLine(server.port);
  await using channel = await openRedisChannel({ url: line.url, callTimeoutMs: CALL_MS });
  await using direct = await openRedisChannel({ url: server.url });
  await channel.publish(message("first"));
  await (await take(channel)).complete();
  await channel.listening(BOX, new AbortController().signal); // otherwise the lost reply may be that of the subscription
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

test("waiting messages, ids and depth survive a restart in order", async () => {
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

test("a key of another type is a permanent failure, and none of the messages is published", async () => {
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

test("a missing or wrong password is a permanent failure that doesn't show it", async () => {
  const password = "s3cret-p4ss";
  await using server = await startRedis({ password });
  const without = `redis://127.0.0.1:${server.port}`;
  await assert.rejects(openRedisChannel({ url: without }), (error: Error) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /requires a password\. Put one into REDIS_URL/);
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

test("a server out of memory, or a replica, is a transient failure", async () => {
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

test("a primary that is demoted while connected is left for the server that the address leads to", async () => {
  await using old = await startRedis();
  await using promoted = await startRedis();
  await using line = await Line.to(old.port);
  const url = `redis://127.0.0.1:${line.port}`;
  await using channel = await openRedisChannel({ url, callTimeoutMs: CALL_MS });
  const claiming = take(channel);
  await channel.listening(BOX, AbortSignal.timeout(60_000));
  using operator = await plainClient(old);
  line.leadNew(promoted.port);
  await operator.sendCommand(["REPLICAOF", "127.0.0.1", String(promoted.port)]);
  await insist(() => channel.publish(message("m")));
  const claim = await claiming;
  assert.equal(claim.id, "m");
  await claim.complete();
  await using other = await openRedisChannel({ url: promoted.url });
  assert.deepEqual(await depths(other, BOX), { depth: 0, dead: 0 });
  using plain = await plainClient(promoted);
  await listened(plain, BOX, 1);
});

test("a ping fails while the server is a replica", async () => {
  await using server = await startRedis();
  await using channel = await openRedisChannel({ url: server.url, callTimeoutMs: CALL_MS });
  using operator = await plainClient(server);
  await operator.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
  await assert.rejects(channel.ping(), /a replica that takes no writes/);
  await assert.rejects(channel.ping(), /a replica that takes no writes/);
});

test("a claim whose reply is lost uses up no attempt, and is claimed again before its lease expires", async () => {
  await using server = await startRedis();
  await using line = await Line.to(server.port);
  await using channel = await openRedisChannel({
    url: `redis://127.0.0.1:${line.port}`,
    callTimeoutMs: CALL_MS,
  });
  await channel.publish(message("m"));
  const isClaim = (request: Uint8Array) => new TextDecoder().decode(request).includes(scripts.CLAIM.sha);
  await (await take(channel)).retry(0, "so that the server knows the script", { asIfNew: true });
  const cut = line.cutAt(isClaim, "before the reply");
  const claim = await take(channel);
  await cut;
  assert.equal(claim.attempt, 1);
  await claim.extend();
  await claim.complete();
  await nothing(channel);
});

/** Opens a relay to the server on `port` that can be cut after it has passed a command and before the reply. */
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
        // cancelling the readable has closed it
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
