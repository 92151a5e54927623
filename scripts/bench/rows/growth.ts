import { PAGE } from "../baselines.ts";
import { linearity, spreadOf } from "../measure.ts";
import type { Row } from "../row.ts";
import { phaseOf, startRun } from "../runs.ts";
import type { BenchEnvironment } from "../environment.ts";

const PEAK_MB = 150;
const STEADY = 1.2;
const SERVICES = ["extractor", "transformer", "saver"] as const;

/** Whole runs over ever more users: whether time grows in proportion, and memory not at all. Each service is fresh for each size. */
export const growth: Row = {
  name: "growth",
  async *measure(environment) {
    const { users } = environment.scale;
    const sizes = [users / 10, users, users * 10];
    const runs = new Map<number, Awaited<ReturnType<typeof runOver>>>();
    for (const size of sizes) {
      const run = await runOver(environment, size);
      environment.say(`${size} users: ${run.seconds.toFixed(1)} s`);
      runs.set(size, run);
    }
    const [, middle, largest] = sizes.map((size) => runs.get(size)!) as [unknown, Run, Run];
    yield {
      what: `time over ${sizes.join(", ")} users`,
      figure: spreadOf([linearity(sizes.map((size) => [size, runs.get(size)!.seconds]))]),
      unit: "R²",
      target: { atLeast: 0.99 },
      note: sizes.map((size) => `${size}: ${Math.round(size / runs.get(size)!.seconds)} records/s`).join(
        ", ",
      ),
    };
    for (const service of SERVICES) {
      const [before, after] = [middle.peaks[service], largest.peaks[service]];
      yield {
        what: `peak memory of the ${service}, ${users * 10} users`,
        figure: spreadOf([after]),
        unit: "MB",
        target: { atMost: PEAK_MB },
      };
      yield {
        what: `peak memory of the ${service}, ${users * 10} to ${users} users`,
        figure: spreadOf([after / before]),
        unit: "x",
        target: { atMost: STEADY },
        note: `${Math.round(before)} MB at ${users}`,
      };
    }
  },
};

type Run = { seconds: number; peaks: Record<(typeof SERVICES)[number], number> };

async function runOver(environment: BenchEnvironment, users: number): Promise<Run> {
  const { server } = await environment.sftp();
  const folder = `${server.home}/growth-${users}`;
  await using stage = environment.stage({
    API_BASE_URL: await environment.source(users),
    BATCH_SIZE: `${PAGE}`,
    ...await environment.delivery(folder),
  }, { ownFiles: true });
  const programs = {
    extractor: await stage.start("extractor"),
    transformer: await stage.start("transformer"),
    saver: await stage.start("saver"),
  };
  const { runId, message } = startRun();
  const channel = await stage.channel();
  const { seconds } = await programs.saver.costOf(() => phaseOf(channel, runId, "DELIVERING", message));
  await Deno.remove(folder, { recursive: true });
  return {
    seconds,
    peaks: {
      extractor: (await programs.extractor.memory()).peak,
      transformer: (await programs.transformer.memory()).peak,
      saver: (await programs.saver.memory()).peak,
    },
  };
}
