import { openChannel } from "../../../shared/channel/open.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { HOP_MAILBOX, now } from "../hop.ts";
import { percentile, spreadOf } from "../measure.ts";
import { Program } from "../process.ts";
import type { Result, Row } from "../row.ts";
import { type BenchEnvironment, PROJECT } from "../environment.ts";

/** Milliseconds between two messages: the receiver has always gone to sleep before the next one comes. */
const PACE_MS = 10;
const WARM_UP = 20;

/** From the call that publishes a message in one process until another has claimed and acknowledged it; every step is synced to the disk. */
export const queue: Row = {
  name: "queue",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const messages = quick ? 100 : 300;
    await using redis = await startRedis();
    const ways = {
      redis: () => hops(environment, redis.url, "", messages),
      embedded: () => hops(environment, "", `queue-${crypto.randomUUID()}.db`, messages),
    };
    const found: Record<keyof typeof ways, number[][]> = { redis: [], embedded: [] };
    for (let turn = 0; turn < turns; turn++) {
      for (const way of ["redis", "embedded"] as const) found[way].push(await ways[way]());
    }
    yield* latencies("queue hop, Redis", found.redis);
    yield* latencies("queue hop, embedded", found.embedded);
  },
};

function* latencies(what: string, turns: number[][]): Generator<Result> {
  for (const [name, share, atMost] of [["p50", 0.5, 5], ["p99", 0.99, 25]] as const) {
    yield {
      what: `${what}, ${name}`,
      figure: spreadOf(turns.map((values) => percentile(values, share))),
      unit: "ms",
      target: { atMost },
    };
  }
}

async function hops(environment: BenchEnvironment, redisUrl: string, queuePath: string, messages: number) {
  await using channel = await openChannel({ redisUrl: redisUrl || undefined, queuePath });
  const latencies: number[] = [];
  const all = Promise.withResolvers<void>();
  const flags = ["run", "--no-prompt", "--allow-net", "--allow-read=.", "--allow-write=.", "--allow-env"];
  await using _receiver = await Program.start(
    "hop",
    [...flags, `${PROJECT}/scripts/bench/hop.ts`, redisUrl, queuePath],
    environment.programEnv,
    /"message":"ready"/,
    (line) => {
      const [, ms] = /^handled (\S+)$/.exec(line) ?? [];
      if (ms !== undefined && latencies.push(Number(ms)) === messages + WARM_UP) all.resolve();
    },
  );
  for (let i = 0; i < messages + WARM_UP; i++) {
    await channel.publish({ to: HOP_MAILBOX, id: crypto.randomUUID(), body: JSON.stringify({ at: now() }) });
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  await all.promise;
  return latencies.slice(WARM_UP);
}
