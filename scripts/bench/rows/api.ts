import { loadTexts, usersTables } from "../../../tests/support/store.ts";
import { Users } from "../../../local/source/users.ts";
import { childrenOf } from "../../../tests/support/processes.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { openSqlite } from "../../../shared/store/sqlite/open.ts";
import { type Asked, loadOn } from "../http_load.ts";
import type { BenchSetup } from "../environment.ts";
import { percentile, repeated, spreadOf } from "../measure.ts";
import { pssOf } from "../programs.ts";
import type { Row } from "../table.ts";

export const RUNS = 100_000;

const CONNECTIONS = 8;

/** Requests a second to be reached: ten times those of FastAPI, SQLAlchemy and uvicorn, where there is such an original. */
export const CASES: readonly { what: string; asked: Asked; atLeast: number }[] = [
  { what: "GET /data/raw_users of 100 rows", asked: { path: "/data/raw_users?limit=100" }, atLeast: 600 },
  { what: "GET /etl_runs of 10 rows", asked: { path: "/etl_runs?limit=10" }, atLeast: 4300 },
  { what: "GET /etl_runs of 1,000 rows", asked: { path: "/etl_runs" }, atLeast: 240 },
  {
    what: "GraphQL, 100 runs",
    asked: { path: "/graphql", body: { query: "{ etlRuns(limit: 100) { id validCount } }" } },
    atLeast: 1500,
  },
];

export const FIRST_TWENTY: Asked = {
  path: "/graphql",
  body: { query: "{ etlRuns(limit: 20) { id runId status validCount invalidCount } }" },
};

/** The API with 100,000 runs in its database, under load from one program on the same machine. */
export const api: Row = {
  name: "api",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const seconds = quick ? 1 : 4;
    await using setup = environment.setup();
    await fillRuns(setup);
    const others = await childrenOf(Deno.pid);
    const program = await setup.start("api");
    const port: number = JSON.parse(program.ready.input!).properties.port;
    const each = async (measure: () => Promise<number>) => spreadOf(await repeated(turns, measure));
    await loadOn(port, FIRST_TWENTY, 1, seconds); // warms up
    yield {
      what: `GraphQL, first 20 of ${RUNS.toLocaleString("en")} runs, 99th percentile`,
      figure: await each(async () =>
        percentile((await loadOn(port, FIRST_TWENTY, 1, seconds)).latencies, 0.99)
      ),
      unit: "ms",
      target: { atMost: 20 },
    };
    for (const { what, asked, atLeast } of CASES) {
      const figure = await each(async () => (await loadOn(port, asked, CONNECTIONS, seconds)).perSecond);
      yield { what, figure, unit: "requests/s", target: { atLeast } };
    }
    const query = { path: "/query_sql", body: { query: "SELECT count(*) FROM etl_runs" } };
    await loadOn(port, query, 1, seconds);
    const group = (await childrenOf(Deno.pid)).filter((pid) => !others.includes(pid));
    yield {
      what: "memory of the API and its SQL process under this load",
      figure: spreadOf([await pssOf(group)]),
      unit: "MB",
      target: { atMost: 300 },
    };
  },
};

async function fillRuns({ env }: BenchSetup): Promise<void> {
  await using store = await openSqlite(env.DB_PATH!, { pipelines: usersTables([]) });
  const users = new Users(0.1, 1);
  const texts = Array.from({ length: 1000 }, (_, index) => users.json(index));
  await loadTexts(store, newRunId(), "raw", texts);
  await store.write((db) => {
    for (let i = 0; i < RUNS; i++) {
      const at = new Date(Date.UTC(2020, 0, 1) + i * 60_000).toISOString();
      db.run(
        `INSERT INTO etl_runs (run_timestamp, raw_file, processed_file, dlq_file, valid_count, invalid_count, run_id, status, status_at,
           started_at, loaded_at, finished_at)
         VALUES (?1, 'data/raw_users/records_20261124_030007.jsonl', 'data/processed_users/etl_20261124_030007.jsonl',
           'data/dlq/invalid_users_20261124_030007.jsonl', 200, 8, ?2, 'COMPLETED', ?1, ?1, ?1, ?1)`,
        at,
        newRunId(),
      );
    }
  });
}
