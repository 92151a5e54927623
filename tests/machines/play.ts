/**
 * The drill on machines: runs one after another, faults at random, and at the end a look at all that is there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Apis } from "./apis.ts";
import { check } from "./checks.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { controlOf } from "./control.ts";
import { nameOf, planOf, randomFrom, suffer } from "./faults.ts";

const PIPELINES = ["users", "products"];

/** Users enough for a raw file of two parts in the store. */
const SOURCE = { users: 6_000, bad: 0.05 };

/** What a drill is. */
export interface MachinesOptions {
  readonly faults: number;
  /** Of what is chosen at random. */
  readonly seed: number;
  /** The folder of the world that this process is in. */
  readonly world: string;
  /** Takes each line of the report. */
  readonly say: (line: string) => void;
}

/** Plays the drill; answers whether nothing was lost, twice or different. */
export async function playOnMachines({ faults, seed, world, say }: MachinesOptions): Promise<boolean> {
  const begun = performance.now();
  const since = () => `${Math.round((performance.now() - begun) / 1000)} s`.padStart(6);
  const control = await controlOf(SOURCE, PIPELINES);
  await using cluster = await startCluster(world, SOURCE);
  try {
    const apis = new Apis(cluster.origins);
    const workers = cluster.services.filter(({ service }) => service !== "api");
    await apis.present(workers.map(({ host }) => host.name));
    say(`${since()}: ${cluster.services.length + cluster.engines.length} machines, ${faults} faults, --seed ${seed}`);
    const asked: string[] = [];
    const run = async (): Promise<void> => {
      const these = await Promise.all(PIPELINES.map((pipeline) => apis.request(pipeline)));
      asked.push(...these);
      for (const { runId, status, failure } of await apis.ended(these)) {
        assert.equal(status, "COMPLETED", `run ${runId}: ${failure?.reason}`);
      }
    };
    await run(); // undisturbed
    for (const round of planOf(cluster, faults, randomFrom(seed))) {
      say(`${since()}: ${round.map(nameOf).join("; ")}`);
      const runs = run();
      const over = Promise.all(round.map(suffer)).then(() => performance.now());
      const [end] = await Promise.all([over, runs]);
      say(`${since()}: all runs completed ${((performance.now() - end) / 1000).toFixed(1)} s after the last fault`);
    }
    const { lost, twice, runs } = await check(cluster, control, asked);
    const ends = cluster.services.reduce((sum, { ends }) => sum + ends, 0);
    say(
      `${since()}: ${runs} runs, ${lost} records lost, ${twice} twice, files equal to those of one machine, ` +
        `services ended by themselves ${ends} times`,
    );
    return lost === 0 && twice === 0;
  } catch (error) {
    say(complaintsOf(cluster));
    throw error;
  }
}

function complaintsOf({ services }: Cluster): string {
  return services.map((machine) => [`--- ${machine.host.name}`, ...machine.complaints(12)].join("\n")).join("\n");
}
