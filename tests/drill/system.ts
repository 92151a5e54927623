/**
 * Faults of whole processes, of the clock, and of time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { pause } from "../../shared/actor/backoff.ts";
import type { DrillCase } from "./case.ts";
import { gateAt, play, stopwatch, times } from "./play.ts";
import { type DrillEnvironment, type Worker, WORKERS } from "./environment.ts";
import { footprintOf } from "./watch.ts";
import { type Engine, POSTGRES, SQLITE } from "../support/engines.ts";
import { BEFORE_THREADS } from "../support/steps.ts";

const area = "system";

/** The number of steps of a service at which a short drill kills it. */
const LEAST_KILLS = 5;

/** Returns the part of a case's name for channel and engine. */
function placesOf(channel: "embedded" | "redis", engine: Engine): string {
  return engine.isShared ? `${channel}-postgres` : channel;
}

/**
 * A case that kills a service at each of its (about `steps`) steps, in a separate run each. The next process
 * has to finish the run.
 */
function killedAtEachStep(
  worker: Worker,
  channel: "embedded" | "redis",
  steps: number,
  fault: string,
  engine = SQLITE,
): DrillCase {
  return {
    name: `${worker}-killed-at-each-step-${placesOf(channel, engine)}`,
    area,
    fault,
    quick: false,
    usesPostgres: engine.isShared,
    run: (repeats) =>
      play({ channel, engine, users: 60, bad: 0.1, env: { BATCH_SIZE: "30" } }, async (environment) => {
        const stride = Math.max(1, Math.round(Math.min(1 / repeats, steps / LEAST_KILLS)));
        const runs: string[] = [];
        let kills = 0;
        let recoveredMs = 0;
        await environment.pipeline.start(...WORKERS.filter((other) => other !== worker));
        for (const before of worker === "saver" ? [0, BEFORE_THREADS] : [0]) {
          // The first step of a sparse drill is random, so that many drills cover all steps.
          for (let step = before + 1 + Math.floor(Math.random() * stride);; step += stride) {
            const running = environment.beginUpTo(worker, step);
            const run = await environment.pipeline.tell();
            runs.push(run);
            const where = await environment.standsStill(
              running,
              () => environment.run(run)?.status === "COMPLETED",
            );
            await environment.pipeline.kill(worker);
            const since = stopwatch();
            await environment.pipeline.start(worker);
            await environment.comesTo(run, "COMPLETED");
            recoveredMs = Math.max(recoveredMs, since());
            await environment.pipeline.stop(worker);
            if (where === undefined) break;
            kills += 1;
          }
        }
        await environment.pipeline.start(worker);
        return {
          happened: `${kills} kills, one at ${stride === 1 ? "each step" : `one step in ${stride}`}`,
          runs,
          recoveredMs,
        };
      }),
  };
}

/** Kills services at random; returns the number of kills. */
async function killAtRandom(environment: DrillEnvironment, kills: number): Promise<number> {
  for (let killed = 0; killed < kills; killed++) {
    await pause(Math.random() * 600);
    const worker = WORKERS[Math.floor(Math.random() * WORKERS.length)]!;
    await environment.pipeline.kill(worker);
    await environment.pipeline.start(worker);
  }
  return kills;
}

function randomKills(channel: "embedded" | "redis", engine: Engine): DrillCase {
  return {
    name: `random-kills-${placesOf(channel, engine)}`,
    area,
    fault: "kill -9 of random services at random times, over many runs",
    quick: false,
    usesPostgres: engine.isShared,
    run: (repeats) =>
      play({ channel, engine, users: 2_000, bad: 0.1, delayMs: 20 }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const total = times(50, 4, repeats);
        const calm = await environment.pipeline.tell();
        await environment.comesTo(calm, "COMPLETED");
        const runs: string[] = [];
        let killed = 0;
        let recoveredMs = 0;
        while (runs.length < total) {
          const run = await environment.pipeline.tell();
          runs.push(run);
          killed += await killAtRandom(environment, 4);
          const since = stopwatch();
          await environment.comesTo(run, "COMPLETED");
          recoveredMs = Math.max(recoveredMs, since());
        }
        const bytes = environment.pipeline.sql<{ kind: string; sha256: string }>(
          "SELECT DISTINCT kind, sha256 FROM run_files",
        );
        assert.equal(bytes.length, 3, "a run's files aren't those of the uninterrupted run");
        return {
          happened: `${killed} kills in ${runs.length} runs; bytes as without`,
          runs: [calm, ...runs],
          recoveredMs,
        };
      }),
  };
}

/** Memory growth above this percentage counts as a leak. */
const FLAT_PERCENT = 20;

export const cases: readonly DrillCase[] = [
  killedAtEachStep(
    "extractor",
    "embedded",
    40,
    "kill -9 of the extractor at every write of file, checkpoint and queue",
  ),
  killedAtEachStep(
    "transformer",
    "embedded",
    25,
    "kill -9 of the transformer at every write of file and queue",
  ),
  killedAtEachStep(
    "saver",
    "embedded",
    350,
    "kill -9 of the saver at every transaction and every packet of the delivery",
  ),
  killedAtEachStep("saver", "redis", 220, "the same over Redis and PostgreSQL", POSTGRES),
  randomKills("embedded", SQLITE),
  randomKills("redis", POSTGRES),
  {
    name: "sigterm-at-work",
    area,
    fault: "SIGTERM to all while a page is awaited",
    quick: false,
    run: () => {
      const gate = gateAt(100);
      return play({ wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const run = await environment.pipeline.tell();
        await gate.reached;
        const stopping = stopwatch();
        const codes = await Promise.all(WORKERS.map((worker) => environment.pipeline.stop(worker)));
        const stoppedMs = stopping();
        assert.deepEqual(codes, [0, 0, 0]);
        assert(stoppedMs < 10_000, `it took ${stoppedMs} ms`);
        gate.open();
        const since = stopwatch();
        await environment.pipeline.start(...WORKERS);
        await environment.comesTo(run, "COMPLETED");
        const attempts = environment.pipeline.events(run).flatMap((event) =>
          event.type === "phase_started" && event.phase === "EXTRACTING" ? [event.attempt] : []
        );
        assert.deepEqual(attempts, [1, 1]);
        const happened = `exit 0 after ${
          (stoppedMs / 1000).toFixed(1)
        } s, no attempt wasted, resumed in the same file`;
        return { happened, runs: [run], recoveredMs: since() };
      });
    },
  },
  {
    name: "sigterm-between-runs",
    area,
    fault: "SIGTERM to all repeatedly, while runs are processed",
    quick: false,
    run: (repeats) =>
      play({ users: 500, bad: 0.1, delayMs: 20, channel: "redis" }, async (environment) => {
        const runs: string[] = [];
        let recoveredMs = 0;
        for (let turn = times(20, 3, repeats); turn > 0; turn--) {
          await environment.pipeline.start(...WORKERS);
          runs.push(await environment.pipeline.tell());
          await pause(Math.random() * 800);
          const stopping = stopwatch();
          const codes = await Promise.all(WORKERS.map((worker) => environment.pipeline.stop(worker)));
          recoveredMs = Math.max(recoveredMs, stopping());
          assert.deepEqual(codes, [0, 0, 0]);
        }
        await environment.pipeline.start(...WORKERS);
        for (const run of runs) await environment.comesTo(run, "COMPLETED");
        const attempts = runs.flatMap((run) => environment.pipeline.events(run)).flatMap((event) =>
          event.type === "phase_started" ? [event.attempt] : []
        );
        assert.deepEqual([...new Set(attempts)], [1]);
        return { happened: `${runs.length} stops with exit 0, no attempt wasted`, runs, recoveredMs };
      }),
  },
  {
    name: "soak",
    area,
    fault: "a thousand small runs one after the other",
    quick: false,
    run: (repeats) =>
      play({ users: 3, channel: "redis" }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const total = times(1_000, 40, repeats);
        const samples: Record<Worker, { megabytes: number; handles: number }[]> = {
          extractor: [],
          transformer: [],
          saver: [],
        };
        const runs: string[] = [];
        const since = stopwatch();
        while (runs.length < total) {
          const run = await environment.pipeline.tell();
          runs.push(run);
          await environment.comesTo(run, "COMPLETED");
          for (const worker of WORKERS) {
            samples[worker].push(await footprintOf(environment.pipeline.process(worker).pid));
          }
        }
        const recoveredMs = since() / total;
        const grown = WORKERS.map((worker) => growthOf(samples[worker]));
        for (const { percent, handles } of grown) {
          assert(percent < FLAT_PERCENT || total < 200, `memory grew by ${percent} %`);
          assert(handles <= 2, `${handles} files more are open`);
        }
        const words = grown.map(({ percent }) => `${percent > 0 ? "+" : ""}${percent} %`).join(", ");
        return { happened: `${total} runs; memory ${words}, file handles flat`, runs, recoveredMs };
      }),
  },
];

/** Returns the growth from the second fifth of the samples to the last one. The first fifth is for warming up. */
function growthOf(
  samples: readonly { megabytes: number; handles: number }[],
): { percent: number; handles: number } {
  const fifth = Math.floor(samples.length / 5);
  const mean = (from: number, key: "megabytes" | "handles") =>
    samples.slice(from, from + fifth).reduce((sum, sample) => sum + sample[key], 0) / fifth;
  const [early, late] = [fifth, samples.length - fifth];
  return {
    percent: Math.round((mean(late, "megabytes") / mean(early, "megabytes") - 1) * 100),
    handles: Math.round(mean(late, "handles") - mean(early, "handles")),
  };
}
