import assert from "node:assert/strict";
import { REFUSED, SECRETS } from "../../tests/support/sql_attacks.ts";
import { fillRun, openApi, user } from "../../tests/support/api.ts";

Deno.test("the SQL console refuses every attack with a reason, shows no personal data, and keeps working", async (t) => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  for (const [query, says] of REFUSED) {
    await t.step(query.slice(0, 100) || "(empty)", async () => {
      const { status, text } = await sql(pipeline, query);
      assert.equal(status, 400, text);
      assert.match(JSON.parse(text).detail, says);
      for (const secret of SECRETS) assert.ok(!text.includes(secret) || query.includes(secret), text);
    });
  }
  const { text } = await sql(pipeline, "SELECT count(*) AS n FROM raw_users");
  assert.equal(text, '{"columns":["n"],"rows":[{"n":1}]}');
});

/** Common statements and their answers. */
const ANSWERED: [sql: string, answer: unknown][] = [
  ["select id, PASSWORD from RAW_USERS;", {
    columns: ["id", "password"],
    rows: [{ id: 1, password: "***" }],
  }],
  ["SELECT 1 AS a -- the end", { columns: ["a"], rows: [{ a: 1 }] }],
  ["SELECT ';' AS a; ;;", { columns: ["a"], rows: [{ a: ";" }] }],
  ["/* why */ SELECT 'it''s; fine' AS \"a b\"", { columns: ["a b"], rows: [{ "a b": "it's; fine" }] }],
  ["SELECT bank ->> '$.currency' AS c FROM raw_users", { columns: ["c"], rows: [{ c: "GBP" }] }],
  [
    "SELECT department_code AS d, count(*) AS n FROM processed_users GROUP BY 1 HAVING n > 0 ORDER BY 2 DESC",
    { columns: ["d", "n"], rows: [{ d: "ENG", n: 1 }] },
  ],
  [
    "WITH old AS (SELECT * FROM raw_users WHERE age > 20) SELECT count(*) AS n FROM old",
    { columns: ["n"], rows: [{ n: 1 }] },
  ],
  ["SELECT j.value AS v FROM json_each('[3,1,2]') AS j ORDER BY 1", {
    columns: ["v"],
    rows: [{ v: 1 }, { v: 2 }, { v: 3 }],
  }],
  ["SELECT rank() OVER (ORDER BY id) AS r FROM raw_users", { columns: ["r"], rows: [{ r: 1 }] }],
  ["SELECT valid_count FROM etl_runs AS raw JOIN raw_users USING (run_id)", {
    columns: ["valid_count"],
    rows: [{ valid_count: 1 }],
  }],
  ["SELECT id FROM raw_users WHERE password = 'emilyspass'", { columns: ["id"], rows: [] }],
  ["SELECT id, age, department_code AS d, ssn, json_extract(bank, '$.iban') AS i FROM users WHERE age > 20", {
    columns: ["id", "age", "d", "ssn", "i"],
    rows: [{ id: 1, age: 28, d: "ENG", ssn: "***", i: "***" }],
  }],
  ["SELECT id FROM users WHERE password LIKE 'e%' OR ssn > '9' OR bank LIKE '%GB74%'", {
    columns: ["id"],
    rows: [],
  }],
  ["SELECT key, change, fields FROM users_changes JOIN etl_runs USING (run_id)", {
    columns: ["key", "change", "fields"],
    rows: [{ key: 1, change: "added", fields: null }],
  }],
  ["WITH users AS (SELECT id * 2 AS twice FROM raw_users) SELECT users.twice, 'users' AS Users FROM USERS", {
    columns: ["twice", "Users"],
    rows: [{ twice: 2, Users: "users" }],
  }],
  [
    'WITH "users"(n) AS MATERIALIZED (SELECT 1 UNION ALL SELECT 2) SELECT max(n) AS n, count(*) AS c FROM [users]',
    {
      columns: ["n", "c"],
      rows: [{ n: 2, c: 2 }],
    },
  ],
  [
    "WITH RECURSIVE Raw_Users(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM raw_users WHERE n < 3) SELECT n, u.age FROM `raw_users` JOIN users AS u ON n = u.id",
    { columns: ["n", "age"], rows: [{ n: 1, age: 28 }] },
  ],
  ["SELECT 1 AS a, 2 AS a", { columns: ["a", "a"], rows: [{ a: 2 }] }],
  ["SELECT upper('ä') || date('2026-11-24', '+1 day') AS x, x'00ff' AS b, NULL AS n, 1.5 AS r", {
    columns: ["x", "b", "n", "r"],
    rows: [{ x: "ä2026-11-25", b: "00ff", n: null, r: 1.5 }],
  }],
];

Deno.test("everyday SQL works, in any spelling", async (t) => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  for (const [query, answer] of ANSWERED) {
    await t.step(query, async () => {
      const { status, text } = await sql(pipeline, query);
      assert.equal(status, 200, text);
      assert.deepEqual(JSON.parse(text), answer);
    });
  }
});

Deno.test("64-bit integers keep all their digits", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const { text } = await sql(pipeline, "SELECT 9223372036854775807 AS n");
  assert.equal(text, '{"columns":["n"],"rows":[{"n":9223372036854775807}]}');
});

Deno.test("rows keep their order and are cut at the bounds with a note", async () => {
  await using pipeline = await openApi({ SQL_MAX_ROWS: "3", SQL_MAX_BYTES: "1000" });
  await fillRun(pipeline.store);
  const numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9)";
  const rows = await sql(pipeline, `${numbers} SELECT n FROM c ORDER BY n DESC`);
  assert.equal(rows.text, '{"columns":["n"],"rows":[{"n":9},{"n":8},{"n":7}],"truncated":true}');
  const exact = await sql(pipeline, `${numbers} SELECT n FROM c LIMIT 3`);
  assert.equal(exact.text, '{"columns":["n"],"rows":[{"n":1},{"n":2},{"n":3}]}');
  const bytes = await sql(pipeline, `${numbers} SELECT printf('%900d', n) AS n FROM c`);
  assert.equal(JSON.parse(bytes.text).rows.length, 1);
  assert.equal(JSON.parse(bytes.text).truncated, true);
});

Deno.test("an error in a later row is reported as an error, not as the end of the answer", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const { status, text } = await sql(
    pipeline,
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9) SELECT CASE n WHEN 5 THEN zeroblob(9000000) END FROM c",
  );
  assert.equal(status, 400);
  assert.match(text, /too large/);
});

async function sql(pipeline: { send(path: string, init: RequestInit): Promise<Response> }, query: string) {
  const answer = await pipeline.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
  });
  return { status: answer.status, text: await answer.text() };
}
