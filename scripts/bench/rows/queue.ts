import { pause } from "../../../shared/actor/backoff.ts";
import { openChannel } from "../../../shared/channel/open.ts";
import { startRedis } from "../../../tests/support/redis.ts";
import { type BenchEnvironment, PROJECT } from "../environment.ts";
import { HOP_MAILBOX, now } from "../hop.ts";
import { percentile, repeated, spreadOf } from "../measure.ts";
import { startProgram } from "../programs.ts";
import type { Row } from "../table.ts";

/** Milliseconds between two messages: the consumer is always idle before the next one arrives. */
const PACE_MS = 10;
const WARM_UP = 20;

/**
 * From the call that publishes a message in one process until another has claimed and acknowledged it; every step is
 * synced to the disk.
 */
export const queue: Row = {
  name: "queue",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const messages = quick ? 100 : 300;
    await using redis = await startRedis();
    const found = await repeated(turns, async () => ({
      Redis: await hops(environment, redis.url, "", messages),
      embedded: await hops(environment, "", `queue-${crypto.randomUUID()}.db`, messages),
    }));
    for (const way of ["Redis", "embedded"] as const) {
      for (const [name, share, atMost] of [["p50", 0.5, 5], ["p99", 0.99, 25]] as const) {
        yield {
          what: `queue hop, ${way}, ${name}`,
          figure: spreadOf(found.map((turn) => percentile(turn[way], share))),
          unit: "ms",
          target: { atMost },
        };
      }
    }
  },
};

async function hops(environment: BenchEnvironment, redisUrl: string, queuePath: string, messages: number) {
  await using channel = await openChannel({ redisUrl: redisUrl || undefined, queuePath });
  const latencies: number[] = [];
  const all = Promise.withResolvers<void>();
  const flags = ["run", "--no-prompt", "--allow-net", "--allow-read=.", "--allow-write=.", "--allow-env"];
  const args = [...flags, `${PROJECT}/scripts/bench/hop.ts`, redisUrl, queuePath];
  await using _receiver = await startProgram("hop", args, environment.programEnv, /^ready$/, (line) => {
    const [, ms] = /^handled (\S+)$/.exec(line) ?? [];
    if (ms !== undefined && latencies.push(Number(ms)) === messages + WARM_UP) all.resolve();
  });
  for (let i = 0; i < messages + WARM_UP; i++) {
    await channel.publish({ to: HOP_MAILBOX, id: crypto.randomUUID(), body: JSON.stringify({ at: now() }) });
    await pause(PACE_MS);
  }
  await all.promise;
  return latencies.slice(WARM_UP);
}
