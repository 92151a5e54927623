/**
 * The whole pipeline with runs and records in PostgreSQL. It returns the same answers as with SQLite, with
 * the permissions of each service.
 *
 * @module
 */
import assert from "node:assert/strict";
import { commandOf } from "../../cli/services.ts";
import { needing } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing("postgres");

/** Replaces what differs from run to run: run ids, times, and file names, which contain times. */
function steady(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "RUN")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME").replaceAll(/\d{8}_\d{6}/g, "STAMP")
    .replaceAll(/127\.0\.0\.1:\d+/g, "HOST").replaceAll(/"(durationMs|recordsPerSecond)":[\d.]+/g, '"$1":0');
}

const PATHS = [
  "/etl_runs",
  "/data/raw_users?limit=300",
  "/data/processed_users?limit=300",
  "/data/invalid_users?limit=300",
  "/data/users?limit=300",
  "/data/users_changes?limit=500",
];

const QUERY = `{
  etlRuns(limit: 5) { id runId status validCount invalidCount source
    phases { phase attempts records } files { kind name bytes records sha256 } reasons { reason count } }
  pipelines { name }
}`;

/** Runs users twice; returns the API's answers. */
async function answersOf(pipeline: TestPipeline): Promise<string[]> {
  await pipeline.start("extractor", "transformer", "saver", "api");
  const ready = await pipeline.logged(/"message":"ready"/, "api");
  const origin = `http://127.0.0.1:${JSON.parse(ready.text).properties.port}`;
  const statuses = async () => {
    const answer = await fetch(`${origin}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: "{ etlRuns(limit: 5) { status } }" }),
    });
    const { data } = await answer.json() as { data?: { etlRuns: { status: string }[] } };
    return (data?.etlRuns ?? []).map(({ status }) => status).join(" ");
  };
  for (const wanted of ["COMPLETED", "COMPLETED COMPLETED"]) {
    await pipeline.tell();
    await pipeline.until(wanted, async () => await statuses() === wanted);
  }
  const answers = await Promise.all([
    ...PATHS.map((path) => fetch(origin + path)),
    fetch(`${origin}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: QUERY }),
    }),
    fetch(`${origin}/`, { headers: { accept: "text/html" } }),
  ]);
  return await Promise.all(answers.map(async (answer) => `${answer.status} ${steady(await answer.text())}`));
}

test("users gives the same results with DATABASE_URL as without, and REST, GraphQL and the dashboard the same answers", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const env = { LEASE_SECONDS: "60" }; // a busy machine must not add attempts, which the answers contain
  await using sqlite = await startPipeline({ bad: 0.1, env });
  const wanted = await answersOf(sqlite);
  await using postgres = await startPipeline({ bad: 0.1, env: { ...env, DATABASE_URL: url } });
  const found = await answersOf(postgres);
  for (const [at, answer] of wanted.entries()) {
    assert.match(answer, /^200 [^]{20}/);
    assert.equal(found[at], answer, `answer ${at}`);
  }
  assert.deepEqual(
    await Array.fromAsync(Deno.readDir(`${postgres.folder}/database`), ({ name }) => name).then(
      (names) => names.filter((name) => name.startsWith("data.db")),
    ),
    [],
  );
  const secret = decodeURIComponent(new URL(url).password);
  assert.deepEqual(
    postgres.logs().filter(({ text }) => text.includes(secret) || text.includes(new URL(url).password)),
    [],
  );
  const verified = await postgres.task("verify", "--run", "all");
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
});

test("doctor checks the server, its clock and the console's user, and prints the statements that create one", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  await using pipeline = await startPipeline({ sftp: "none", env: { DATABASE_URL: url } });
  const line = async (check: string) =>
    new RegExp(`^${check} +(.*)$`, "m").exec((await pipeline.task("doctor")).stdout)?.[1];
  assert.match(
    (await line("database"))!,
    /^ok: 127\.0\.0\.1:\d+\/test_1, PostgreSQL 1\d\.\d+, UTF8, .*tables will be made/,
  );
  const early = await pipeline.task("doctor", "--grant");
  assert.equal(early.code, 1);
  assert.match(early.stderr, /Start the saver once/);
  await pipeline.start("saver");
  assert.match((await line("SQL console"))!, /off, as SQL_DATABASE_URL is not set/);
  const granted = await pipeline.task("doctor", "--grant");
  assert.equal(granted.code, 0, granted.stderr);
  await server.psql(granted.stdout.replace("'PASSWORD'", "'word'"), name);
  pipeline.env.SQL_DATABASE_URL = server.url(name, "etl_sql", "word");
  assert.match((await line("SQL console"))!, /^ok: its user can do no more than read the views/);
  pipeline.env.SQL_DATABASE_URL = url;
  assert.match((await line("SQL console"))!, /^The SQL console is off: .* may rule the server/);
  pipeline.env.DATABASE_URL = server.url("postgres", "etl", "wrong-word");
  assert.match((await line("database"))!, /^Cannot use the database .*refused/);
  await server.stop();
  assert.match((await line("database"))!, /nobody listens there/);
});

test("a saver started before its database waits for it", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await server.stop();
  await using pipeline = await startPipeline({ sftp: "none", env: { DATABASE_URL: url } });
  const saver = pipeline.begin("saver");
  await pipeline.logged(/"message":"waiting".*nobody listens there/, "saver");
  await server.start();
  await saver.line(/"message":"ready"/);
});

needing("postgres", "redis-server")(
  "two savers share runs while their server is killed in the middle of a load, and one of them is frozen: each record is stored once",
  async () => {
    await using server = await startPostgres();
    const url = await server.createDatabase();
    const name = new URL(url).pathname.slice(1);
    await using pipeline = await startPipeline({
      sftp: "none",
      channel: "redis",
      users: 20_000,
      env: { DATABASE_URL: url, BATCH_SIZE: "5000" },
    });
    const second = () => pipeline.spawn("saver 2", commandOf("saver", pipeline.env, pipeline.pipelines));
    await pipeline.start("extractor", "transformer", "saver");
    await second().line(/"message":"ready"/);
    const counted = async (sql: string) => Number(await server.psql(sql, name));
    const completed = (runs: number) =>
      pipeline.until(
        `${runs} runs`,
        async () => await counted("SELECT count(*) FROM etl_runs WHERE status = 'COMPLETED'") === runs,
      );
    const loading = () =>
      pipeline.until(
        "a load",
        async () => await counted("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %'") > 0,
      );
    await pipeline.tell();
    await loading();
    await server.kill();
    await server.start();
    await completed(1);

    await pipeline.tell();
    await loading();
    pipeline.signal("saver 2", "SIGSTOP"); // stop this one, whether it loads or not
    await pipeline.until(
      "the other one's wait or end",
      async () =>
        await counted(`SELECT count(*) FROM (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        UNION ALL SELECT 1 FROM etl_runs HAVING count(*) FILTER (WHERE status = 'COMPLETED') = 2) AS either`) >
          0,
    );
    pipeline.signal("saver 2", "SIGCONT");
    await completed(2);
    for (const table of ["raw_users", "processed_users"]) {
      assert.equal(await counted(`SELECT count(*) FROM ${table}`), 40_000, table);
      assert.equal(
        await counted(`SELECT count(*) FROM (SELECT run_id, id FROM ${table} GROUP BY 1, 2) AS one`),
        40_000,
      );
    }
  },
);
