/**
 * The whole pipeline with its runs and records in PostgreSQL: the same answers as with SQLite, with the permissions of each service.
 *
 * @module
 */
import assert from "node:assert/strict";
import { needing } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing("postgres");

/** What differs from run to run: ids of runs, times, and the names of files, which are times. */
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

/** Runs users twice; what the API answers then. */
async function answersOf(pipeline: TestPipeline): Promise<string[]> {
  await pipeline.start("extractor", "transformer", "saver", "api");
  const ready = await pipeline.said(/"message":"ready"/, "api");
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

test("users runs with DATABASE_URL as without, and REST, GraphQL and the dashboard answer the same", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await using sqlite = await startPipeline({ bad: 0.1 });
  const wanted = await answersOf(sqlite);
  await using postgres = await startPipeline({ bad: 0.1, env: { DATABASE_URL: url } });
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

test("doctor looks at the server, its clock and the console's user, and prints the statements that make one", async () => {
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

test("a saver that is started before its database waits for it", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  await server.stop();
  await using pipeline = await startPipeline({ sftp: "none", env: { DATABASE_URL: url } });
  const saver = pipeline.begin("saver");
  await pipeline.said(/"message":"waiting".*nobody listens there/, "saver");
  await server.start();
  await saver.line(/"message":"ready"/);
});
