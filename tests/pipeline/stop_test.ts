import assert from "node:assert/strict";
import { GRACE_MS } from "../../cli/program.ts";
import { SERVICES } from "../../cli/services.ts";
import { POSTGRES, sharing } from "../support/engines.ts";
import { Line } from "../support/line.ts";
import { needing } from "../support/needs.ts";
import type { RedisServer } from "../support/redis.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing("redis-server");

/** Stops all services while Redis is down. */
async function stopped(leave: (redis: RedisServer) => void | Promise<void>): Promise<void> {
  await using pipeline = await startPipeline({ channel: "redis", sftp: "none" });
  const redis = pipeline.redis!;
  await pipeline.start(...SERVICES);
  await leave(redis);
  try {
    await pipeline.logged(/no connection to Redis/, "saver");
    await allStop(pipeline);
  } finally {
    if (leave === freeze) redis.thaw();
  }
}

/** Stops all services, and asserts that they end in order. */
async function allStop(pipeline: TestPipeline): Promise<void> {
  const begun = performance.now();
  const codes = await Promise.all(SERVICES.map((service) => pipeline.stop(service)));
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.ok(performance.now() - begun < GRACE_MS);
}

const freeze = (redis: RedisServer) => redis.freeze();

test("with Redis killed, every service ends cleanly within its grace period", () =>
  stopped((redis) => redis.kill()));

test("with Redis frozen, every service ends cleanly within its grace period", () => stopped(freeze));

/** Stops all services during a load while PostgreSQL is down. */
async function stoppedInMidLoad(leave: (line: Line) => void): Promise<void> {
  const users = 5_000;
  await using pipeline = await startPipeline({ engine: POSTGRES, sftp: "none", users, env: PAGES });
  const url = pipeline.env.DATABASE_URL!;
  const port = Number(new URL(url).port);
  await using line = await Line.to(port);
  pipeline.env.DATABASE_URL = line.by(url);
  await pipeline.start(...SERVICES);
  const ready = await pipeline.logged(/"message":"ready"/, "api");
  const midLoad = line.holdAfter(3_000_000);
  const runId = await pipeline.tell();
  await midLoad;
  leave(line);
  const requested = fetch(`http://127.0.0.1:${JSON.parse(ready.text).properties.port}/etl_runs`);
  await Promise.all([allStop(pipeline), requested.then((answer) => answer.text(), () => {})]);
  line.release();
  line.lead(port);
  assert.equal(pipeline.tables().raw_users, 0, "nothing of a file is there");

  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed(runId);
  assert.deepEqual(pipeline.tables(), { raw_users: users, processed_users: users, invalid_users: 0 });
}

const PAGES = { BATCH_SIZE: "5000" };
const postgresTest = needing("postgres");
sharing();

postgresTest(
  "during a load, with PostgreSQL gone, every service ends cleanly within its grace period",
  () =>
    stoppedInMidLoad((line) => {
      line.release();
      line.lead(9); // nothing listens there
    }),
);

postgresTest(
  "during a load, with PostgreSQL frozen, every service ends cleanly within its grace period",
  () => stoppedInMidLoad(() => {}),
);
