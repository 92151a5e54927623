import { SERVICES } from "../../../cli/services.ts";
import { pause } from "../../../shared/actor/backoff.ts";
import { repeated, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";
import type { BenchEnvironment } from "../environment.ts";

/** How long idle services are measured, and how long work after a start may take, in milliseconds. */
const WATCH_MS = 20_000;
const SETTLE_MS = 5_000;

/** The cost of the four services without work, and the time each one needs from its start until it is ready. */
export const idle: Row = {
  name: "idle",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const all = await repeated(turns, () => watched(environment, quick ? 3_000 : WATCH_MS));
    yield {
      what: "idle memory of the four services", // shared pages are counted in each service
      figure: spreadOf(all.map(({ memory }) => memory)),
      unit: "MB",
      target: { atMost: 350 },
    };
    yield {
      what: "idle CPU of the four services",
      figure: spreadOf(all.map(({ cpu }) => cpu)),
      unit: "%",
      target: { atMost: 1 },
    };
    for (const [i, service] of SERVICES.entries()) {
      yield {
        what: `cold start of the ${service}`,
        figure: spreadOf(all.map(({ starts }) => starts[i]!)),
        unit: "s",
        target: { atMost: 1 },
      };
    }
  },
};

async function watched(environment: BenchEnvironment, ms: number) {
  await using setup = environment.setup();
  const programs = await repeated(SERVICES.length, (i) => setup.start(SERVICES[i]!));
  const sumOf = async (of: (program: typeof programs[number]) => Promise<number>) =>
    (await Promise.all(programs.map(of))).reduce((sum, value) => sum + value, 0);
  await pause(SETTLE_MS);
  const before = await sumOf((program) => program.cpu());
  await pause(ms);
  const cpu = (await sumOf((program) => program.cpu()) - before) / (ms / 1000) * 100;
  const memory = await sumOf(async (program) => (await program.memory()).now);
  return { memory, cpu, starts: programs.map(({ readySeconds }) => readySeconds) };
}
