import { openStore, type Store } from "../../../shared/store/sqlite/open.ts";
import { type Asked, loadOn } from "../http_load.ts";
import { percentile, spreadOf } from "../measure.ts";
import type { Result, Row } from "../row.ts";
import { phaseOf, startRun } from "../runs.ts";
import type { BenchEnvironment, Stage } from "../environment.ts";
import { fillRuns } from "./api.ts";

/** Runs in the database. */
const SIZES = [1, 1_000, 100_000] as const;

/** Users of a run that is timed: as many as the original's source has. */
const USERS = 208;
/** Such runs in a turn, of which the middle one counts. */
const TIMED_RUNS = 5;

/** What the largest database may cost, in times of the smallest. */
const FLAT = { atMost: 1.5 };

interface Case {
  readonly what: string;
  readonly asked: Asked;
  /** Rows of the answer: databases that hold fewer aren't compared. */
  readonly rows: number;
  /** Whether something is committed before each request: until then the API keeps what it has read. */
  readonly changing: boolean;
}

const rest = (rows: number): Asked => ({ path: `/etl_runs?limit=${rows}` });
const graphql = (rows: number): Asked => ({
  path: "/graphql",
  body: { query: `{ etlRuns(limit: ${rows}) { id runId status validCount invalidCount } }` },
});

const CASES: readonly Case[] = [
  { what: "GET /etl_runs of 1 row", asked: rest(1), rows: 1, changing: false },
  { what: "GET /etl_runs of 1 row after a commit", asked: rest(1), rows: 1, changing: true },
  { what: "GET /etl_runs of 10 rows after a commit", asked: rest(10), rows: 10, changing: true },
  { what: "GraphQL of 1 row", asked: graphql(1), rows: 1, changing: false },
  { what: "GraphQL of 1 row after a commit", asked: graphql(1), rows: 1, changing: true },
  { what: "GraphQL of 20 rows after a commit", asked: graphql(20), rows: 20, changing: true },
];

/** Whether answers and runs stay as fast while the database fills with runs: answers of the same number of rows are compared. */
export const growthRuns: Row = {
  name: "growth-runs",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    await using resources = new AsyncDisposableStack();
    const houses: BenchSetup[] = [];
    for (const size of SIZES) houses.push(await startPipeline(environment, size, resources));
    const seconds = quick ? 0.5 : 1;
    for (const { what, asked, rows, changing } of CASES) {
      const compared = houses.filter(({ size }) => size >= rows);
      const answers = ({ store, port }: BenchSetup) =>
        loadOn(port, asked, 1, seconds, changing ? () => commit(store) : undefined)
          .then(({ latencies }) => latencies);
      for (const setup of compared) await answers(setup); // warms up
      yield await compare(what, compared, turns, answers);
    }
    for (const { stage } of houses) {
      for (const service of ["extractor", "transformer", "saver"] as const) await stage.start(service);
    }
    for (const setup of houses) await timedRun(setup); // warms up
    yield await compare(`run of ${USERS} users, end to end`, houses, turns, async (setup) => {
      const times = [];
      for (let run = 0; run < TIMED_RUNS; run++) times.push(await timedRun(setup));
      return times;
    });
  },
};

interface BenchSetup {
  readonly size: number;
  readonly stage: Stage;
  readonly store: Store;
  readonly port: number;
}

async function startPipeline(
  environment: BenchEnvironment,
  size: number,
  resources: AsyncDisposableStack,
): Promise<BenchSetup> {
  const { server } = await environment.sftp();
  const stage = resources.use(environment.stage({
    API_BASE_URL: await environment.source(USERS),
    ...await environment.delivery(`${server.home}/growth-runs-${size}`),
  }, { ownFiles: true }));
  await fillRuns(stage, size);
  const store = resources.use(await openStore(stage.env.DB_PATH!, { maskFields: [] }));
  await fillTraces(store);
  const api = await stage.start("api");
  return { size, stage, store, port: JSON.parse(api.ready.input!).properties.port };
}

/** Gives each run what a run leaves behind: three files, delivered, and ten events. */
async function fillTraces(store: Store): Promise<void> {
  await store.write((db) =>
    db.script(`
      INSERT INTO run_files (run_id, kind, name, sha256, bytes, records, loaded_at)
        SELECT run_id, value, run_id || value, lower(hex(randomblob(32))), 250000, 208, loaded_at
        FROM etl_runs, json_each('["raw", "processed", "invalid"]');
      INSERT INTO deliveries (run_id, kind, name, remote_path, sha256, bytes, verified, delivered_at)
        SELECT run_id, kind, name, '/upload/' || name, sha256, bytes, 'content', loaded_at FROM run_files;
      INSERT INTO run_events (id, run_id, at, actor, type, phase, body)
        SELECT run_id || value, run_id, loaded_at, 'saver', 'phase_completed', 'LOADING',
          json_object('id', run_id || value, 'run_id', run_id, 'published_at', loaded_at, 'actor', 'saver',
            'type', 'phase_completed', 'phase', 'LOADING', 'detail', json_object('records', 208))
        FROM etl_runs, json_each('[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]')`)
  );
}

/** Makes what the API has read out of date. */
async function commit(store: Store): Promise<void> {
  await store.write((db) => db.run("UPDATE etl_runs SET source = 'bench' WHERE id = 1"));
}

/** Milliseconds from a request for a run until its files are delivered. */
async function timedRun({ stage }: BenchSetup): Promise<number> {
  const { runId, message } = startRun();
  const channel = await stage.channel();
  const began = performance.now();
  await phaseOf(channel, runId, "DELIVERING", message);
  return performance.now() - began;
}

/** Has each setup do `work`, turn by turn, and compares the medians of the largest and the smallest. */
async function compare(
  what: string,
  houses: readonly BenchSetup[],
  turns: number,
  work: (setup: BenchSetup) => Promise<number[]>,
): Promise<Result> {
  const medians = houses.map((): number[] => []);
  for (let turn = 0; turn < turns; turn++) {
    for (const [i, setup] of houses.entries()) medians[i]!.push(percentile(await work(setup), 0.5));
  }
  const [smallest, largest] = [medians[0]!, medians.at(-1)!];
  const runs = houses.map(({ size }) => size.toLocaleString("en"));
  return {
    what: `${what}, ${runs.at(-1)} runs to ${runs[0]}`,
    figure: spreadOf(largest.map((ms, turn) => ms / smallest[turn]!)),
    unit: "x",
    target: FLAT,
    note: `median with ${runs.join(", ")}: ${
      medians.map((each) => spreadOf(each).median.toPrecision(2)).join(", ")
    } ms`,
  };
}
