/**
 * Faults of Redis, of the embedded queue and of messages.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { tell } from "../../shared/actor/ask.ts";
import { pause } from "../../shared/actor/backoff.ts";
import { openChannel } from "../../shared/channel/open.ts";
import type { RedisServer } from "../support/redis.ts";
import type { DrillCase } from "./case.ts";
import { command } from "./operator.ts";
import { gateAt, play, stopwatch, times } from "./play.ts";
import { type DrillEnvironment, WORKERS } from "./environment.ts";

const area = "channel";

/** A case that injects a fault over Redis while a run is in the middle of its extraction. */
function hurtInMidRun(
  name: string,
  fault: string,
  quick: boolean,
  hurt: (environment: DrillEnvironment, redis: RedisServer) => Promise<string>,
): DrillCase {
  return {
    name,
    area,
    fault,
    quick,
    run: () => {
      const gate = gateAt(100);
      const options = { channel: "redis", wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } } as const;
      return play(options, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const run = await environment.pipeline.tell();
        await gate.reached;
        setTimeout(() => gate.open(), 200); // gives the extractor something to publish while it can't
        const happened = await hurt(environment, environment.pipeline.redis!);
        const since = stopwatch();
        await environment.comesTo(run, "COMPLETED");
        return { happened, runs: [run], recoveredMs: since() };
      });
    },
  };
}

/** Matches the request to Redis that settles a message of this mailbox. */
function settles(mailbox: string): (request: Uint8Array) => boolean {
  return (request) => {
    const text = new TextDecoder().decode(request);
    return text.includes("\r\ncomplete\r\n") && text.includes(`\r\n${mailbox}\r\n`);
  };
}

export const cases: readonly DrillCase[] = [
  hurtInMidRun("redis-down", "Redis killed when a phase publishes, away for 3 s", true, async (_, redis) => {
    await redis.kill();
    await pause(3_000);
    await redis.start();
    return "published when it was back";
  }),
  hurtInMidRun("redis-frozen", "Redis answers nothing for 8 s", false, async (_, redis) => {
    redis.freeze();
    await pause(8_000);
    redis.thaw();
    return "calls ended in bounded time and were repeated";
  }),
  hurtInMidRun("redis-line-held", "the network swallows everything for 12 s", false, async (environment) => {
    environment.redisLine!.hold();
    await pause(12_000);
    environment.redisLine!.release();
    return "connections closed and opened again";
  }),
  {
    name: "redis-cut-during-transaction",
    area,
    fault: "connection cut during the request, or before its reply, at each acknowledgement",
    quick: true,
    run: () =>
      play({ channel: "redis" }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const runs: string[] = [];
        const since = stopwatch();
        for (const mailbox of ["channel:start_run", "channel:phase1_complete", "channel:phase2_complete"]) {
          for (const where of ["during the request", "before the reply"] as const) {
            const cut = environment.redisLine!.cutAt(settles(mailbox), where);
            const run = await environment.pipeline.tell();
            await cut;
            await environment.comesTo(run, "COMPLETED");
            runs.push(run);
          }
        }
        return {
          happened: `${runs.length} cuts, each phase carried out once`,
          runs,
          recoveredMs: since() / runs.length,
        };
      }),
  },
  {
    name: "redis-restarts",
    area,
    fault: "Redis killed and restarted repeatedly, during and between phases",
    quick: false,
    run: (repeats) =>
      play({ channel: "redis" }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const kills = times(20, 4, repeats);
        const runs: string[] = [];
        for (let kill = 0; kill < kills; kill++) {
          runs.push(await environment.pipeline.tell());
          await pause(Math.random() * 400);
          await environment.pipeline.redis!.kill();
          await environment.pipeline.redis!.start();
        }
        const since = stopwatch();
        const completed = new Set<string>(); // a request that follows a failed attempt resumes its run
        for (const run of runs) completed.add((await environment.comesTo(run, "COMPLETED")).run_id);
        return {
          happened: `${kills} kills in ${completed.size} runs`,
          runs: [...completed],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "foreign-garbage",
    area,
    fault: "other programs publish garbage on the Pub/Sub channels",
    quick: true,
    run: () =>
      play({ channel: "redis" }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const garbage = [
          "not json",
          "[1,2]",
          '{"raw_file":"../../etc/passwd"}',
          '{"raw_file":"/etc/passwd"}',
          '{"raw_file":"data/raw_users/nowhere.jsonl"}',
          "\u0000\uffff",
          '{"id":7,"raw_file":null}',
          "x".repeat(2_000_000),
        ];
        for (const body of garbage) {
          await command(environment.pipeline.redis!, "PUBLISH", "channel:phase1_complete", body);
        }
        const wanted = garbage.length - 1; // one message is too long to be adopted
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        await environment.until("the dead letters", async () => (await environment.dead()).length === wanted);
        for (const { reason } of await environment.dead()) assert.match(reason, /^Cannot /);
        return {
          happened: `${wanted} dead letters with reasons, 1 refused, the run untouched`,
          runs: [run],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "poison-message",
    area,
    fault: "a message that kills its consumer at each try",
    quick: false,
    run: () =>
      play({}, async (environment) => {
        await environment.pipeline.start("extractor", "saver");
        const run = await environment.pipeline.tell();
        await environment.depth("channel:phase1_complete", 1);
        const mailbox = environment.pipeline.channel.mailbox("channel:phase1_complete");
        let deaths = 0;
        for (;;) {
          const transformer = environment.beginUpTo("transformer", "open data/processed_users");
          const where = await environment.standsStill(transformer, async () =>
            (await mailbox.state()).dead > 0);
          await environment.pipeline.kill("transformer");
          if (where === undefined) {
            break;
          }
          deaths += 1;
        }
        const { failure_reason } = await environment.comesTo(run, "FAILED");
        assert.match(String(failure_reason), /tries ended without an answer/);
        await environment.pipeline.start("transformer");
        const since = stopwatch();
        await environment.replay();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: `a dead letter after ${deaths} deaths, replayed`,
          runs: [run],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "queue-disk-full",
    area,
    fault: "disk of the embedded queue full during a run",
    quick: false,
    run: () => {
      const gate = gateAt(100);
      const env = { HTTP_TIMEOUT_SECONDS: "60", QUEUE_PATH: "queue/queue.db" };
      return play({ wrap: gate.wrap, env, disks: { queue: 8_000_000 } }, async (environment) => {
        await using channel = await openChannel({ queuePath: environment.path("queue/queue.db") });
        await environment.pipeline.start(...WORKERS);
        const run = await tell(channel, { requestedBy: "drill", actor: "cli" }, { queue: true });
        await gate.reached;
        const disk = environment.disks.get("queue")!;
        await disk.fill();
        gate.open();
        await environment.pipeline.logged(/the disk is full\. Make room/);
        await pause(2_000);
        await disk.free();
        const since = stopwatch();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "reported it, and continued once there was room",
          runs: [run],
          recoveredMs: since(),
        };
      });
    },
  },
];

/** Locks the database at `path` for writers; returns a stopwatch that starts when the lock is released. */
export async function locked(
  path: string,
  ms: number,
  meanwhile: () => void = () => {},
): Promise<() => number> {
  using db = new DatabaseSync(path, { timeout: 5_000 });
  db.exec("BEGIN IMMEDIATE");
  meanwhile();
  await pause(ms);
  db.exec("ROLLBACK");
  return stopwatch();
}
