import { startRedis } from "../../../tests/support/redis.ts";
import { compose } from "../../../shared/actor/message.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { rawFile } from "../fixtures.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../row.ts";
import { manyPhases } from "../runs.ts";
import type { BenchEnvironment } from "../environment.ts";

const RUNS = 6;

/** One transformer and two over the same runs, with Redis between them: what a second process gains. */
export const transformers: Row = {
  name: "transformers",
  async *measure(environment) {
    const users = environment.scale.users / 4;
    const { baseline, ours, ratio } = await inTurn(environment.scale.turns, {
      label: "1 transformer",
      run: () => through(environment, 1, users),
    }, {
      label: "2 transformers",
      run: () => through(environment, 2, users),
    });
    yield {
      what: `${RUNS} runs of ${users} users, 2 transformers to 1`,
      baseline,
      ours,
      figure: ratio,
      unit: "x",
      note: `${navigator.hardwareConcurrency} cores; 0.5 would be twice the throughput`,
    };
  },
};

async function through(environment: BenchEnvironment, transformers: number, users: number) {
  await using redis = await startRedis();
  await using stage = environment.stage({ REDIS_URL: redis.url });
  const messages = [];
  for (let copy = 1; copy <= RUNS; copy++) {
    const raw = await rawFile(environment, users, copy);
    const runId = newRunId();
    messages.push(compose("channel:phase1_complete", `bench/${runId}`, {
      run_id: runId,
      raw_file: raw.name,
      raw_sha256: raw.sha256,
      record_count: raw.records,
    }));
  }
  for (let i = 0; i < transformers; i++) await stage.start("transformer");
  const channel = await stage.channel();
  const began = performance.now();
  await manyPhases(channel, RUNS, "TRANSFORMING", messages);
  return { seconds: (performance.now() - began) / 1000 };
}
