import { SERVICES } from "../../../cli/services.ts";
import { spreadOf } from "../measure.ts";
import type { Row } from "../row.ts";
import type { BenchEnvironment } from "../environment.ts";

/** Seconds over which idleness is watched. */
const WATCH_SECONDS = 20;
/** Seconds until what a start leaves to do is done. */
const SETTLE_SECONDS = 5;

/** What the four services cost while there is nothing to do, and how long each takes from its start until it is ready. */
export const idle: Row = {
  name: "idle",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const all: Idle[] = [];
    for (let turn = 0; turn < turns; turn++) all.push(await watched(environment, quick ? 3 : WATCH_SECONDS));
    yield {
      what: "idle memory of the four services",
      figure: spreadOf(all.map(({ memory }) => memory)),
      unit: "MB",
      target: { atMost: 350 },
      note: "resident, shared pages counted in each",
    };
    yield {
      what: "idle CPU of the four services",
      figure: spreadOf(all.map(({ cpu }) => cpu)),
      unit: "%",
      target: { atMost: 1 },
      note: "of one core",
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

interface Idle {
  readonly memory: number;
  readonly cpu: number;
  readonly starts: readonly number[];
}

async function watched(environment: BenchEnvironment, seconds: number): Promise<Idle> {
  await using stage = environment.stage();
  const programs = [];
  for (const service of SERVICES) programs.push(await stage.start(service));
  await pass(SETTLE_SECONDS);
  const before = await Promise.all(programs.map((program) => program.cpu()));
  await pass(seconds);
  const after = await Promise.all(programs.map((program) => program.cpu()));
  const memory = await Promise.all(programs.map((program) => program.memory()));
  return {
    memory: memory.reduce((sum, { now }) => sum + now, 0),
    cpu: after.reduce((sum, cpu, i) => sum + cpu - before[i]!, 0) / seconds * 100,
    starts: programs.map(({ readySeconds }) => readySeconds),
  };
}

function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
