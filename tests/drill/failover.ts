/**
 * A Redis server that dies, and a replica that takes over without having received everything.
 *
 * @module
 */
import { openChannel } from "../../shared/channel/open.ts";
import { Line } from "../support/line.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import type { DrillCase } from "./case.ts";
import { command } from "./operator.ts";
import { gateAt, play, stopwatch } from "./play.ts";
import { type DrillEnvironment, WORKERS } from "./environment.ts";

const area = "channel";

/** Makes `replica` a replica of the primary, through `port`; resolves once it has received everything. */
async function inStep(environment: DrillEnvironment, replica: RedisServer, port: number): Promise<void> {
  await command(replica, "REPLICAOF", "127.0.0.1", String(port));
  await environment.until("a replica in step", async () => {
    const [mine, its] =
      (await Promise.all([command(environment.pipeline.redis!, "INFO"), command(replica, "INFO")])).map(
        String,
      );
    const offset = (info: string, name: string) => new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
    return /master_link_status:up/.test(its!) &&
      offset(mine!, "master_repl_offset") === offset(its!, "slave_repl_offset");
  });
}

/** Starts a replica that has received everything so far and receives nothing more. */
async function laggingReplica(
  environment: DrillEnvironment,
  owned: AsyncDisposableStack,
): Promise<RedisServer> {
  const primary = environment.pipeline.redis!;
  const replica = owned.use(await startRedis());
  const link = owned.use(await Line.to(primary.port));
  await inStep(environment, replica, link.port);
  link.hold();
  return replica;
}

/** Kills the primary, and lets the replica take over its address. */
async function failOver(environment: DrillEnvironment, replica: RedisServer): Promise<void> {
  await environment.pipeline.redis!.kill();
  await command(replica, "REPLICAOF", "NO", "ONE");
  environment.redisLine!.lead(replica.port);
}

/** A failover that loses everything published after `reach` has resolved. */
function failoverCase(
  name: string,
  fault: string,
  happened: string,
  reach: (environment: DrillEnvironment, gate: { reached: Promise<void>; open(): void }) => Promise<string>,
  skip: number,
): DrillCase {
  return {
    name,
    area,
    fault,
    quick: false,
    run: () => {
      const gate = gateAt(skip);
      const options = { channel: "redis", wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } } as const;
      return play(options, async (environment) => {
        await using owned = new AsyncDisposableStack();
        await environment.pipeline.start("extractor");
        const replica = await laggingReplica(environment, owned);
        const run = await reach(environment, gate);
        await failOver(environment, replica);
        const since = stopwatch();
        gate.open();
        await environment.pipeline.start("transformer", "saver");
        await environment.comesTo(run, "COMPLETED");
        const recoveredMs = since();
        const channel = owned.use(await openChannel({ redisUrl: replica.url, queuePath: "" }));
        return { happened, runs: [run], recoveredMs, channel, owned: owned.move() };
      });
    },
  };
}

export const cases: readonly DrillCase[] = [
  {
    name: "redis-demoted",
    area,
    fault: "during the extraction the primary becomes a replica of another one, and no connection is dropped",
    quick: false,
    run: () => {
      const gate = gateAt(100);
      const options = { channel: "redis", wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } } as const;
      return play(options, async (environment) => {
        await using owned = new AsyncDisposableStack();
        await environment.pipeline.start(...WORKERS);
        const run = await environment.pipeline.tell();
        await gate.reached;
        const primary = environment.pipeline.redis!;
        const promoted = owned.use(await startRedis());
        await inStep(environment, promoted, primary.port);
        environment.redisLine!.leadNew(promoted.port);
        await command(promoted, "REPLICAOF", "NO", "ONE");
        await command(primary, "REPLICAOF", "127.0.0.1", String(promoted.port));
        const since = stopwatch();
        gate.open();
        await environment.comesTo(run, "COMPLETED");
        const recoveredMs = since();
        const channel = owned.use(await openChannel({ redisUrl: promoted.url, queuePath: "" }));
        return {
          happened: "the demoted server left for the new primary",
          runs: [run],
          recoveredMs,
          channel,
          owned: owned.move(),
        };
      });
    },
  },
  failoverCase(
    "redis-failover-during-run",
    "failover to a replica that doesn't have the run, during the extraction",
    "lease lost, requested again from the checkpoint, resumed",
    async (environment, gate) => {
      const run = await environment.pipeline.tell();
      await gate.reached;
      return run;
    },
    100,
  ),
  failoverCase(
    "redis-failover-after-extract",
    "failover to a replica that doesn't have the run, its raw file announced",
    "announced again from the checkpoint",
    async (environment, gate) => {
      gate.open();
      const run = await environment.pipeline.tell();
      await environment.depth("channel:phase1_complete", 1);
      return run;
    },
    0,
  ),
  {
    name: "redis-failover-loses-a-second",
    area,
    fault: "failover to a replica that lags, the request kept, all that followed lost",
    quick: true,
    run: () => {
      const gate = gateAt(100);
      const options = { channel: "redis", wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } } as const;
      return play(options, async (environment) => {
        await using owned = new AsyncDisposableStack();
        await environment.pipeline.start(...WORKERS);
        const run = await environment.pipeline.tell();
        await gate.reached;
        const replica = await laggingReplica(environment, owned);
        gate.open();
        await environment.comesTo(run, "COMPLETED");
        await failOver(environment, replica);
        const since = stopwatch();
        const channel = owned.use(await openChannel({ redisUrl: replica.url, queuePath: "" }));
        await environment.until(
          "the phases again",
          async () =>
            (await channel.mailbox("channel:deliver").state()).depth === 0 &&
            environment.pipeline.events(run).filter(({ type }) => type === "phase_completed").length > 4,
        );
        await environment.comesTo(run, "COMPLETED");
        const recoveredMs = since();
        return {
          happened: "the run went through its phases again, and nothing changed",
          runs: [run],
          recoveredMs,
          channel,
          owned: owned.move(),
        };
      });
    },
  },
];
