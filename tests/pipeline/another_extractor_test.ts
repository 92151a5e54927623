/**
 * Extractors on separate machines. They share PostgreSQL and a store, but no folder.
 *
 * @module
 */
import assert from "node:assert/strict";
import { expected } from "../support/extraction.ts";
import { needing, SWIFT } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { readObject, startS3, variablesOf } from "../support/s3.ts";
import { startS3Proxy } from "../support/s3_proxy.ts";
import { startPipeline } from "../support/test_pipeline.ts";

const test = needing("postgres", ...SWIFT);

const USERS = 20_000;

test("the extractor on another machine resumes the run of one that died, though the database crashed meanwhile", async () => {
  await using server = await startS3();
  const place = await server.bucket();
  await using proxy = startS3Proxy(place);
  await using postgres = await startPostgres();
  const database = await postgres.createDatabase();
  const ask = (sql: string) => postgres.psql(sql, new URL(database).pathname.slice(1));
  const requested: number[] = [];
  await using pipeline = await startPipeline({
    users: USERS,
    bad: 0.1,
    env: {
      ...variablesOf(proxy.place),
      DATABASE_URL: database,
      LEASE_SECONDS: "2",
    },
    wrap: (answer) => (request) => {
      requested.push(Number(new URL(request.url).searchParams.get("skip")));
      return answer(request);
    },
  });
  const growing = Promise.withResolvers<void>();
  proxy.fault = ({ method, url }) => {
    if (/^PUT .*\.part\/.*\/000003$/.test(`${method} ${url}`)) growing.resolve();
    return undefined;
  };
  pipeline.env.DATA_DIR = "own/first";
  await pipeline.start("extractor");
  const runId = await pipeline.tell();
  await growing.promise;
  await pipeline.kill("extractor");
  await postgres.kill();
  await postgres.start();
  const before = requested.length;
  pipeline.env.DATA_DIR = "own/second";
  await pipeline.start("extractor", "transformer", "saver");
  const rawFile = await pipeline.until("the run is completed", async () => {
    const row = await ask(`SELECT raw_file FROM etl_runs WHERE run_id = '${runId}' AND status = 'COMPLETED'`)
      .catch(() => ""); // the saver hasn't created the table yet
    return row === "" ? undefined : row;
  });

  const again = requested.slice(before).filter((skip) => requested.indexOf(skip) < before);
  assert.ok(again.length > 0 && again.length <= 85, `${again.length} pages of 130 KB, more than two parts`);
  assert.ok(!again.includes(0), "it began where the store had its records");
  assert.ok(
    await readObject(place, `etl/${rawFile}`) === await expected({ users: USERS, bad: 0.1 }),
    "the file equals that of an uninterrupted run",
  );
  const counts = "SELECT valid_count + invalid_count, valid_count - invalid_count FROM etl_runs";
  const rows = `SELECT count(*) FROM raw_records UNION ALL SELECT (SELECT count(*) FROM processed_records)
    - (SELECT count(*) FROM invalid_records)`;
  assert.deepEqual((await ask(rows)).split("\n").join("|"), await ask(counts));
  for (const name of ["first", "second"]) {
    await assert.rejects(Deno.stat(`${pipeline.folder}/own/${name}`), Deno.errors.NotFound);
  }
});
