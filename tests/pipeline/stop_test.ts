import assert from "node:assert/strict";
import { GRACE_MS } from "../../cli/program.ts";
import { SERVICES } from "../../cli/services.ts";
import { needing } from "../support/needs.ts";
import type { RedisServer } from "../support/redis.ts";
import { startPipeline } from "../support/test_pipeline.ts";

const test = needing("redis-server");

/** All services are stopped while Redis is away. */
async function stopped(leave: (redis: RedisServer) => void | Promise<void>): Promise<void> {
  await using pipeline = await startPipeline({ channel: "redis", sftp: "none" });
  const redis = pipeline.redis!;
  await pipeline.start(...SERVICES);
  await leave(redis);
  try {
    await pipeline.said(/no connection to Redis/, "saver");
    const begun = performance.now();
    const codes = await Promise.all(SERVICES.map((service) => pipeline.stop(service)));
    assert.deepEqual(codes, [0, 0, 0, 0]);
    assert.ok(performance.now() - begun < GRACE_MS);
  } finally {
    if (leave === freeze) redis.thaw();
  }
}

const freeze = (redis: RedisServer) => redis.freeze();

test("with Redis killed, every service ends in order within its grace period", () =>
  stopped((redis) => redis.kill()));

test("with Redis frozen, every service ends in order within its grace period", () => stopped(freeze));
