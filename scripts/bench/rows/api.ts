import { startPostgres } from "../../../tests/support/postgres.ts";
import { loadTexts, usersTables } from "../../../tests/support/store.ts";
import { Users } from "../../../local/source/users.ts";
import { childrenOf } from "../../../tests/support/processes.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { openStore } from "../../../shared/store/open.ts";
import type { Store } from "../../../shared/store/store.ts";
import { openSqlite } from "../../../shared/store/sqlite/open.ts";
import { type BenchRequest, loadOn } from "../http_load.ts";
import type { BenchSetup, Scale } from "../environment.ts";
import { percentile, repeated, spreadOf } from "../measure.ts";
import { pssOf } from "../programs.ts";
import type { Result, Row } from "../table.ts";

const RUNS = 100_000;

const CONNECTIONS = 8;

/**
 * Required requests per second: ten times those of FastAPI, SQLAlchemy and uvicorn, if the original has such an
 * endpoint.
 */
const CASES: readonly { what: string; request: BenchRequest; atLeast: number }[] = [
  { what: "GET /data/raw_users of 100 rows", request: { path: "/data/raw_users?limit=100" }, atLeast: 600 },
  { what: "GET /etl_runs of 10 rows", request: { path: "/etl_runs?limit=10" }, atLeast: 4300 },
  { what: "GET /etl_runs of 1,000 rows", request: { path: "/etl_runs" }, atLeast: 240 },
  {
    what: "GraphQL, 100 runs",
    request: { path: "/graphql", body: { query: "{ etlRuns(limit: 100) { id validCount } }" } },
    atLeast: 1500,
  },
];

const FIRST_TWENTY: BenchRequest = {
  path: "/graphql",
  body: { query: "{ etlRuns(limit: 20) { id runId status validCount invalidCount } }" },
};

const TWENTY = `GraphQL, first 20 of ${RUNS.toLocaleString("en")} runs`;

/** Starts the API of `setup` and warms it up; returns its measurements. */
async function startApi(setup: BenchSetup, { turns, quick }: Scale) {
  const seconds = quick ? 1 : 4;
  const { ready } = await setup.start("api");
  const port: number = JSON.parse(ready.input!).properties.port;
  const load = (request: BenchRequest, connections = 1) => loadOn(port, request, connections, seconds);
  await load(FIRST_TWENTY);
  const each = async (measure: () => Promise<number>) => spreadOf(await repeated(turns, measure));
  return {
    load,
    rate: (request: BenchRequest) => each(async () => (await load(request, CONNECTIONS)).perSecond),
    latency: async (what: string, request: BenchRequest): Promise<Result> => ({
      what: `${what}, 99th percentile`,
      figure: await each(async () => percentile((await load(request)).latencies, 0.99)),
      unit: "ms",
      target: { atMost: 20 },
    }),
  };
}

/** The API with 100,000 runs in its database, under load from one program on the same machine. */
export const api: Row = {
  name: "api",
  async *measure(environment) {
    await using setup = environment.setup();
    await fillRuns(setup);
    const others = await childrenOf(Deno.pid);
    const { load, rate, latency } = await startApi(setup, environment.scale);
    yield await latency(TWENTY, FIRST_TWENTY);
    for (const { what, request, atLeast } of CASES) {
      yield { what, figure: await rate(request), unit: "requests/s", target: { atLeast } };
    }
    await load({ path: "/query_sql", body: { query: "SELECT count(*) FROM etl_runs" } });
    const group = (await childrenOf(Deno.pid)).filter((pid) => !others.includes(pid));
    yield {
      what: "memory of the API and its SQL process under this load",
      figure: spreadOf([await pssOf(group)]),
      unit: "MB",
      target: { atMost: 300 },
    };
  },
};

/** The API with 100,000 runs in PostgreSQL, which runs on the same machine. */
export const apiPostgres: Row = {
  name: "api-postgres",
  async *measure(environment) {
    await using server = await startPostgres();
    const url = await server.createDatabase();
    {
      await using store = await openStore({ url }, usersTables([]));
      await fillRecords(store);
    }
    await server.psql(
      `${INSERT_RUNS}
       SELECT at, ${FILES}, 200, 8, gen_random_uuid()::text, 'COMPLETED', at, at, at, at
       FROM (SELECT to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
         FROM generate_series(1, ${RUNS}) AS n) AS times`,
      new URL(url).pathname.slice(1),
    );
    await using setup = environment.setup({ DATABASE_URL: url });
    const { latency } = await startApi(setup, environment.scale);
    yield await latency(`${TWENTY} in PostgreSQL`, FIRST_TWENTY);
    yield await latency(
      `GET /etl_runs of 10 of ${RUNS.toLocaleString("en")} runs in PostgreSQL`,
      CASES[1]!.request,
    );
  },
};

const INSERT_RUNS =
  "INSERT INTO etl_runs (run_timestamp, raw_file, processed_file, dlq_file, valid_count, invalid_count, run_id, status, status_at, " +
  "started_at, loaded_at, finished_at)";
const FILES =
  "'data/raw_users/records_20261124_030007.jsonl', 'data/processed_users/etl_20261124_030007.jsonl', " +
  "'data/dlq/invalid_users_20261124_030007.jsonl'";

async function fillRuns({ env }: BenchSetup): Promise<void> {
  await using store = await openSqlite(env.DB_PATH!, { pipelines: usersTables([]) });
  await fillRecords(store);
  await store.write((db) => {
    for (let i = 0; i < RUNS; i++) {
      const at = new Date(Date.UTC(2020, 0, 1) + i * 60_000).toISOString();
      const values = `VALUES (?1, ${FILES}, 200, 8, ?2, 'COMPLETED', ?1, ?1, ?1, ?1)`;
      db.run(`${INSERT_RUNS} ${values}`, at, newRunId());
    }
  });
}

async function fillRecords(store: Store): Promise<void> {
  const users = new Users(0.1, 1);
  await loadTexts(store, newRunId(), "raw", Array.from({ length: 1000 }, (_, index) => users.json(index)));
}
