import { Users } from "../../../local/source/users.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { openStore } from "../../../shared/store/open.ts";
import { loadTexts, usersTables } from "../../../tests/support/store.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { loadOn } from "../http_load.ts";
import { percentile, repeated, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";
import { CASES, FIRST_TWENTY, RUNS } from "./api.ts";

/** The API with 100,000 runs in PostgreSQL, which runs on the same machine. */
export const apiPostgres: Row = {
  name: "api-postgres",
  async *measure(environment) {
    const { turns, quick } = environment.scale;
    const seconds = quick ? 1 : 4;
    await using server = await startPostgres();
    const url = await server.createDatabase();
    const database = new URL(url).pathname.slice(1);
    {
      await using store = await openStore({ url }, usersTables([]));
      const users = new Users(0.1, 1);
      await loadTexts(
        store,
        newRunId(),
        "raw",
        Array.from({ length: 1000 }, (_, index) => users.json(index)),
      );
    }
    await server.psql(
      `INSERT INTO etl_runs (run_timestamp, raw_file, processed_file, dlq_file, valid_count, invalid_count, run_id, status, status_at,
         started_at, loaded_at, finished_at)
       SELECT at, 'data/raw_users/records_20261124_030007.jsonl', 'data/processed_users/etl_20261124_030007.jsonl',
         'data/dlq/invalid_users_20261124_030007.jsonl', 200, 8, gen_random_uuid()::text, 'COMPLETED', at, at, at, at
       FROM (SELECT to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
         FROM generate_series(1, ${RUNS}) AS n) AS times`,
      database,
    );
    await using setup = environment.setup({ DATABASE_URL: url });
    const program = await setup.start("api");
    const port: number = JSON.parse(program.ready.input!).properties.port;
    const latency = async (asked: typeof FIRST_TWENTY, connections: number) =>
      spreadOf(
        await repeated(
          turns,
          async () => percentile((await loadOn(port, asked, connections, seconds)).latencies, 0.99),
        ),
      );
    await loadOn(port, FIRST_TWENTY, 1, seconds); // warms up
    for (
      const [what, asked] of [["GraphQL, first 20", FIRST_TWENTY], [
        "GET /etl_runs of 10",
        CASES[1]!.asked,
      ]] as const
    ) {
      yield {
        what: `${what} of ${RUNS.toLocaleString("en")} runs in PostgreSQL, 99th percentile`,
        figure: await latency(asked, 1),
        unit: "ms",
        target: { atMost: 20 },
      };
    }
  },
};
