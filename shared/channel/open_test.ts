import assert from "node:assert/strict";
import { startRedis } from "../../tests/support/redis.ts";
import { openChannel } from "./open.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("redis-server");

test("a Redis address takes precedence over the queue file", async () => {
  const folder = await Deno.makeTempDir();
  await using server = await startRedis();
  const queuePath = `${folder}/queue.db`;
  {
    await using channel = await openChannel({ redisUrl: server.url, queuePath });
    await channel.publish({ to: "channel:box", id: "m", body: "{}" });
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);
  await using embedded = await openChannel({ queuePath });
  assert.equal((await embedded.mailbox("channel:box").state()).depth, 0);
  await embedded[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
});
