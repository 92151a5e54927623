/**
 * The drill on machines: consecutive runs, random faults, and a check of all results at the end.
 *
 * @module
 */
import assert from "node:assert/strict";
import { openChannel } from "../../shared/channel/open.ts";
import { Apis } from "./apis.ts";
import { check } from "./checks.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { controlOf } from "./control.ts";
import { Faults, planOf, randomFrom } from "./faults.ts";

const PIPELINES = ["users", "products"];

/** Enough users for a raw file of two parts in the store. */
const SOURCE = { users: 6_000, bad: 0.05 };

export interface MachinesOptions {
  readonly faults: number;
  /** The seed of the random choices. */
  readonly seed: number;
  /** The folder of the world in which this process runs. */
  readonly world: string;
  /** Receives each line of the report. */
  readonly say: (line: string) => void;
}

/**
 * Plays the drill; returns whether no record was lost or duplicated. @throws AssertionError if anything else
 * is wrong.
 */
export async function playOnMachines({ faults, seed, world, say }: MachinesOptions): Promise<boolean> {
  const begun = performance.now();
  const note = (line: string) => say(`${secondsSince(begun).padStart(8)} | ${line}`);
  const control = await controlOf(SOURCE, PIPELINES);
  await using cluster = await startCluster(world, SOURCE);
  await using channel = await openChannel({ redisUrl: cluster.redisUrl, queuePath: "" });
  try {
    const apis = new Apis(cluster.origins);
    const workers = cluster.services.filter(({ service }) => service !== "api");
    await apis.present(workers.map(({ host }) => host.name));
    const { services, engines } = cluster;
    note(`${services.length + engines.length} machines are up; ${faults} faults, --seed ${seed}`);
    const requested: string[] = [];
    const run = async (): Promise<number> => {
      const since = performance.now();
      const these = await Promise.all(PIPELINES.map((pipeline) => apis.request(pipeline)));
      requested.push(...these);
      for (const { runId, status, failure } of await apis.ended(these)) {
        assert.equal(status, "COMPLETED", `run ${runId}: ${failure?.reason}`);
      }
      return performance.now() - since;
    };
    await run(); // the first run also creates tables
    const spanMs = await run();
    note(`a run of each pipeline takes ${(spanMs / 1000).toFixed(1)} s`);
    const maker = new Faults(cluster, channel, note);
    for (const round of planOf(cluster, faults, randomFrom(seed))) {
      const over = Promise.all(round.map((fault) => maker.suffer(fault, spanMs))).then(() =>
        performance.now()
      );
      const [end] = await Promise.all([over, run()]);
      note(`  completed ${secondsSince(end)} after the last fault`);
    }
    const { lost, twice, runs } = await check(cluster, channel, control, requested);
    const ends = services.reduce((sum, { ends }) => sum + ends, 0);
    note(
      `${runs} runs completed, ${lost} records lost, ${twice} twice, files equal to those of one machine; ` +
        `services ended by themselves ${ends} times`,
    );
    return lost === 0 && twice === 0;
  } catch (error) {
    say(complaintsOf(cluster));
    throw error;
  }
}

function secondsSince(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}

function complaintsOf({ services }: Cluster): string {
  return services.map((machine) => [`--- ${machine.host.name}`, ...machine.complaints(12)].join("\n")).join(
    "\n",
  );
}
