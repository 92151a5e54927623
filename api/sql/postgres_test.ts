import assert from "node:assert/strict";
import { grantSql } from "../../shared/store/postgres/inspect.ts";
import { fillRun, openApiOnPostgres, type TestApi, user } from "../../tests/support/api.ts";
import { until } from "../../tests/conformance/channel_tools.ts";
import { needing } from "../../tests/support/needs.ts";
import { type PostgresServer, startPostgres } from "../../tests/support/postgres.ts";
import { HARMLESS, REFUSED_BY_POSTGRES, SECRETS } from "../../tests/support/sql_attacks.ts";
import type { Store } from "../../shared/store/store.ts";

const test = needing("postgres");

/** Opens an API whose console uses the user that `doctor --grant` creates. */
async function openConsole(
  server: PostgresServer,
  env: Record<string, string> = {},
): Promise<TestApi<Store>> {
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const before = await openApiOnPostgres(url);
  await fillRun(before.store, { valid: [user(1)] });
  const granted = (await grantSql(url)).replace("'PASSWORD'", "'word'");
  await before[Symbol.asyncDispose]();
  await server.psql("DROP ROLE IF EXISTS etl_sql", name);
  await server.psql(granted, name);
  return await openApiOnPostgres(url, { SQL_DATABASE_URL: server.url(name, "etl_sql", "word"), ...env });
}

test("the SQL console on PostgreSQL refuses every attack with a reason, shows no personal data, and keeps working", async (t) => {
  await using server = await startPostgres();
  await using api = await openConsole(server, { SQL_TIMEOUT_MS: "1000" });
  for (const [query, says] of REFUSED_BY_POSTGRES) {
    await t.step(query.slice(0, 100) || "(empty)", async () => {
      const { status, text } = await sql(api, query);
      if (HARMLESS.test(query)) return assert.equal(status, 200, text);
      assert.equal(status, 400, text);
      assert.match(JSON.parse(text).detail, says);
      for (const secret of SECRETS) assert.ok(!text.includes(secret) || query.includes(secret), text);
    });
  }
  const { text } = await sql(api, "SELECT count(*) AS n FROM raw_users");
  assert.equal(text, '{"columns":["n"],"rows":[{"n":1}]}');
  assert.equal(
    await server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'etl console'"),
    "0",
  );
});

/** Common statements and their answers. */
const ANSWERED: [sql: string, answer: unknown][] = [
  ["select id, PASSWORD from RAW_USERS;", {
    columns: ["id", "password"],
    rows: [{ id: "1", password: "***" }],
  }],
  ["SELECT ';' AS a; ;;", { columns: ["a"], rows: [{ a: ";" }] }],
  ["SELECT 1 AS a -- the end", { columns: ["a"], rows: [{ a: 1 }] }],
  ["SELECT 1 AS a, 2 AS a", { columns: ["a", "a"], rows: [{ a: 2 }] }],
  ["SELECT 1 AS x WHERE false", { columns: ["x"], rows: [] }],
  ["SELECT bank::jsonb ->> 'currency' AS c, bank::jsonb ->> 'iban' AS i FROM raw_users", {
    columns: ["c", "i"],
    rows: [{ c: "GBP", i: "***" }],
  }],
  ["SELECT department_code AS d, count(*) AS n FROM processed_users GROUP BY 1 ORDER BY 2 DESC", {
    columns: ["d", "n"],
    rows: [{ d: "ENG", n: 1 }],
  }],
  ["SELECT count(*) AS n FROM processed_users WHERE age > 20", { columns: ["n"], rows: [{ n: 1 }] }],
  ["SELECT valid_count FROM etl_runs JOIN raw_users USING (run_id)", {
    columns: ["valid_count"],
    rows: [{ valid_count: 1 }],
  }],
  ["SELECT id, age, ssn FROM users WHERE id = 1 AND age > 20", {
    columns: ["id", "age", "ssn"],
    rows: [{ id: 1, age: 28, ssn: "***" }],
  }],
  ["SELECT id FROM users WHERE password LIKE 'e%' OR ssn > '9' OR bank LIKE '%GB74%'", {
    columns: ["id"],
    rows: [],
  }],
  ["SELECT key, change, fields FROM users_changes JOIN etl_runs USING (run_id)", {
    columns: ["key", "change", "fields"],
    rows: [{ key: 1, change: "added", fields: null }],
  }],
  ["SELECT 9223372036854775807 AS n, true AS t, '\\x00ff'::bytea AS b, NULL AS o, 1.50 AS r", {
    columns: ["n", "t", "b", "o", "r"],
    rows: [{ n: Number("9223372036854775807"), t: 1, b: "00ff", o: null, r: 1.5 }],
  }],
  ["SELECT 'NaN'::float8 AS n", { columns: ["n"], rows: [{ n: "NaN" }] }],
];

test("everyday SQL works on PostgreSQL, and rows and bytes are cut at the bounds with a note", async (t) => {
  await using server = await startPostgres();
  await using api = await openConsole(server, { SQL_MAX_ROWS: "300", SQL_MAX_BYTES: "100000" });
  for (const [query, answer] of ANSWERED) {
    await t.step(query, async () => {
      const { status, text } = await sql(api, query);
      assert.equal(status, 200, text);
      assert.deepEqual(JSON.parse(text), answer);
    });
  }
  const cut = JSON.parse((await sql(api, "SELECT n FROM generate_series(1, 1000000) AS n")).text);
  assert.deepEqual([cut.rows.length, cut.rows.at(-1), cut.truncated], [300, { n: 300 }, true]);
  const whole = JSON.parse((await sql(api, "SELECT n FROM generate_series(1, 300) AS n")).text);
  assert.deepEqual([whole.rows.length, whole.truncated], [300, undefined]);
  const bytes = JSON.parse(
    (await sql(api, "SELECT repeat('x', 30000) AS n FROM generate_series(1, 9)")).text,
  );
  assert.deepEqual([bytes.rows.length, bytes.truncated], [3, true]);
});

test("without its own user, or with one that has more privileges, the console is off, and the answer says how to enable it", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const answerAs = async (env: Record<string, string>) => {
    await using api = await openApiOnPostgres(url, env);
    const { status, text } = await sql(api, "SELECT 1 AS x");
    return [status, status === 200 ? "" : JSON.parse(text).detail] as const;
  };
  const off = async (env: Record<string, string>, says: RegExp) => {
    const [status, detail] = await answerAs(env);
    assert.equal(status, 503);
    assert.match(detail, says);
    assert.match(detail, /doctor --grant/);
  };
  await off({}, /SQL_DATABASE_URL is not set/);
  await off({ SQL_DATABASE_URL: url }, /may rule the server/);
  await server.psql((await grantSql(url)).replace("'PASSWORD'", "'word'"), name);
  const env = { SQL_DATABASE_URL: server.url(name, "etl_sql", "word") };
  assert.equal((await answerAs(env))[0], 200);
  for (
    const [grant, says] of [
      ["SELECT ON raw_records", /may do more with raw_records/],
      ["SELECT (body) ON run_events", /may do more with run_events/],
      ["UPDATE ON raw_users", /may do more with raw_users/],
      ["USAGE ON SEQUENCE etl_runs_id_seq", /may do more with etl_runs_id_seq/],
      ["CREATE ON SCHEMA public", /may make tables/],
      [`TEMPORARY ON DATABASE ${name}`, /may make temporary tables/],
      ["pg_read_all_data", /member of another role/],
    ] as const
  ) {
    await server.psql(`GRANT ${grant} TO etl_sql`, name);
    await off(env, says);
    await server.psql(`REVOKE ${grant} FROM etl_sql`, name);
  }
  assert.equal((await answerAs(env))[0], 200);
});

test("a query whose client has disconnected is ended, here and on the server", async () => {
  await using server = await startPostgres();
  await using api = await openConsole(server, { SQL_TIMEOUT_MS: "60000" });
  const gone = new AbortController();
  const requested = api.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "SELECT count(*) FROM generate_series(1, 1e12::bigint)" }),
    signal: gone.signal,
  });
  const running = async () =>
    Number(await server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'etl console'"));
  await until(async () => await running() === 1);
  gone.abort();
  assert.equal((await requested).status, 400);
  await until(async () => await running() === 0);
});

async function sql(api: TestApi<Store>, query: string) {
  const answer = await api.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
  });
  return { status: answer.status, text: await answer.text() };
}
