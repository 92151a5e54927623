import assert from "node:assert/strict";
import { fillRun, openApi, ORIGIN, user } from "../../tests/support/api.ts";

interface Case {
  name: string;
  path: string;
  init?: RequestInit;
  status: number;
  /** The exact text, or a pattern that it matches. */
  body?: string | RegExp;
  headers?: Record<string, string | RegExp | null>;
}

const sql = (body: string, type = "application/json"): RequestInit => ({
  method: "POST",
  headers: { "content-type": type },
  body,
});
const misfit = (...detail: unknown[]) => JSON.stringify({ detail });
const intParsing = "Input should be a valid integer, unable to parse string as an integer";

const CASES: Case[] = [
  {
    name: "the status",
    path: "/",
    status: 200,
    body: '{"status":"Pipeline API working"}',
    headers: { "content-type": /^application\/json/ },
  },
  {
    name: "a page for browsers",
    path: "/",
    init: { headers: { accept: "text/html,*/*;q=0.8" } },
    status: 200,
    body: /GraphiQL/,
    headers: { "content-type": /^text\/html/ },
  },
  {
    name: "runs that reached the load, newest first, five keys in order",
    path: "/etl_runs",
    status: 200,
    body:
      /^\[\{"id":3,"run_timestamp":"[^"]+","processed_file":"data\/processed_users\/etl_20261124_030007\.jsonl","valid_count":0,"invalid_count":0\},\{"id":2,.*\},\{"id":1,[^}]*"valid_count":2,"invalid_count":1\}\]$/,
    headers: { "x-total-count": "3", link: null },
  },
  {
    name: "a page of runs",
    path: "/etl_runs?limit=1&offset=1",
    status: 200,
    body: /^\[\{"id":2,[^}]*\}\]$/,
    headers: {
      "x-total-count": "3",
      link:
        `<${ORIGIN}/etl_runs?limit=1&offset=2>; rel="next", <${ORIGIN}/etl_runs?limit=1&offset=0>; rel="prev"`,
    },
  },
  {
    name: "a limit that isn't a number",
    path: "/etl_runs?limit=many",
    status: 422,
    body: misfit({ type: "int_parsing", loc: ["query", "limit"], msg: intParsing, input: "many" }),
  },
  {
    name: "a limit of zero",
    path: "/etl_runs?limit=0",
    status: 422,
    body: misfit({
      type: "greater_than_equal",
      loc: ["query", "limit"],
      msg: "Input should be greater than or equal to 1",
      input: "0",
      ctx: { ge: 1 },
    }),
  },
  {
    name: "a limit beyond ten thousand",
    path: "/etl_runs?limit=10001",
    status: 422,
    body: /less_than_equal/,
  },
  {
    name: "all invalid parameters at once",
    path: "/etl_runs?limit=&offset=-1",
    status: 422,
    body: /int_parsing.*greater_than_equal/,
  },
  { name: "a large offset", path: "/etl_runs?offset=4000000000", status: 200, body: "[]" },
  {
    name: "one run",
    path: "/etl_runs/1",
    status: 200,
    body: /^\{"id":1,"run_timestamp":"[^"]+","processed_file":"[^"]+","valid_count":2,"invalid_count":1\}$/,
  },
  { name: "no such run", path: "/etl_runs/7", status: 404, body: '{"detail":"Run 7 not found."}' },
  {
    name: "a run that hasn't reached the load",
    path: "/etl_runs/4",
    status: 404,
    body: '{"detail":"Run 4 not found."}',
  },
  {
    name: "a run id that isn't a number",
    path: "/etl_runs/x",
    status: 422,
    body: misfit({ type: "int_parsing", loc: ["path", "id"], msg: intParsing, input: "x" }),
  },
  {
    name: "records, masked, own keys first and the insertion date last",
    path: "/data/processed_users",
    status: 200,
    body:
      /^\[\{"id":1,"firstName":"Emily".*"password":"\*\*\*".*"bank":"\{\\"cardNumber\\":\\"\*\*\*\\".*"department_code":"ENG","insertion_date":"[^"]+"\},/,
  },
  {
    name: "a page of records",
    path: "/data/raw_users?limit=1&offset=2",
    status: 200,
    body: /^\[\{"id":3,[^[]*\}\]$/,
    headers: { "x-total-count": "3" },
  },
  {
    name: "another table",
    path: "/data/run_events",
    status: 400,
    body:
      '{"detail":"TableName not Allowed. Valid names: raw_users, processed_users, invalid_users, users, users_changes."}',
  },
  {
    name: "the name of a table followed by another name",
    path: "/data/raw_users%3BDROP%20TABLE%20x",
    status: 400,
    body: /not Allowed/,
  },
  {
    name: "a query",
    path: "/query_sql",
    init: sql('{"query":"SELECT id, age FROM processed_users"}'),
    status: 200,
    body: '{"columns":["id","age"],"rows":[{"id":1,"age":28},{"id":2,"age":28}]}',
  },
  {
    name: "no SELECT",
    path: "/query_sql",
    init: sql('{"query":"DELETE FROM etl_runs"}'),
    status: 400,
    body: '{"detail":"Only SELECT querys are allowed."}',
  },
  {
    name: "an SQL error",
    path: "/query_sql",
    init: sql('{"query":"SELECT * FROM nowhere"}'),
    status: 400,
    body: /^\{"detail":"SQL error: no such table: nowhere/,
  },
  {
    name: "no body",
    path: "/query_sql",
    init: { method: "POST" },
    status: 422,
    body: misfit({ type: "missing", loc: ["body"], msg: "Field required", input: null }),
  },
  {
    name: "a body without the query",
    path: "/query_sql",
    init: sql('{"sql":"SELECT 1"}'),
    status: 422,
    body: misfit({
      type: "missing",
      loc: ["body", "query"],
      msg: "Field required",
      input: { sql: "SELECT 1" },
    }),
  },
  {
    name: "a query that isn't text",
    path: "/query_sql",
    init: sql('{"query":7}'),
    status: 422,
    body: misfit({
      type: "string_type",
      loc: ["body", "query"],
      msg: "Input should be a valid string",
      input: 7,
    }),
  },
  {
    name: "a body that isn't an object",
    path: "/query_sql",
    init: sql("[]"),
    status: 422,
    body: /model_attributes_type/,
  },
  {
    name: "a body that isn't JSON",
    path: "/query_sql",
    init: sql('{"query"'),
    status: 422,
    body: /"type":"json_invalid","loc":\["body",\d+\],"msg":"JSON decode error"/,
  },
  {
    name: "a form",
    path: "/query_sql",
    init: sql("query=SELECT+1", "application/x-www-form-urlencoded"),
    status: 422,
    body: /model_attributes_type/,
  },
  {
    name: "JSON with another content type",
    path: "/query_sql",
    init: sql('{"query":"SELECT 1"}', "text/plain"),
    status: 422,
    body: /model_attributes_type/,
  },
  {
    name: "a body beyond 1 MB",
    path: "/query_sql",
    init: sql(JSON.stringify({ query: "x".repeat(1_100_000) })),
    status: 413,
    body: /^\{"detail":"/,
  },
  {
    name: "a query that is too long",
    path: "/query_sql",
    init: sql(JSON.stringify({ query: `SELECT ${"1,".repeat(60_000)}1` })),
    status: 422,
    body: /string_too_long/,
  },
  { name: "no such route", path: "/nowhere", status: 404, body: '{"detail":"Not Found"}' },
  {
    name: "another method",
    path: "/etl_runs",
    init: { method: "POST" },
    status: 405,
    body: '{"detail":"Method Not Allowed"}',
    headers: { allow: "GET, HEAD" },
  },
  {
    name: "GET of a route that only takes POST",
    path: "/query_sql",
    status: 405,
    body: '{"detail":"Method Not Allowed"}',
    headers: { allow: "POST" },
  },
  {
    name: "deleting",
    path: "/etl_runs/1",
    init: { method: "DELETE" },
    status: 405,
    headers: { allow: "GET, HEAD" },
  },
  {
    name: "a trailing slash",
    path: "/etl_runs/?limit=2",
    status: 307,
    headers: { location: `${ORIGIN}/etl_runs?limit=2` },
  },
  {
    name: "a trailing slash after an unknown path",
    path: "/nowhere/",
    status: 404,
    body: '{"detail":"Not Found"}',
  },
  {
    name: "a HEAD request",
    path: "/etl_runs",
    init: { method: "HEAD" },
    status: 200,
    body: "",
    headers: { "x-total-count": "3" },
  },
  { name: "liveness", path: "/healthz", status: 200, body: '{"status":"ok"}' },
  {
    name: "readiness",
    path: "/readyz",
    status: 200,
    body: '{"status":"ready","database":"ok","channel":"ok"}',
  },
  {
    name: "metrics",
    path: "/metrics",
    status: 200,
    body: /^etl_runs\{status="LOADING",pipeline="users"\} 3$/m,
    headers: { "content-type": /^text\/plain/ },
  },
  { name: "the description", path: "/openapi.json", status: 200, body: /^\{"openapi":"3\.1\.0"/ },
  { name: "Swagger UI", path: "/docs", status: 200, body: /swagger-ui-bundle\.js/ },
];

Deno.test("every route answers good and bad requests as clients of the original expect", async (t) => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1), user(2)], invalid: [{ ...user(3), age: 70 }] });
  await fillRun(pipeline.store);
  await fillRun(pipeline.store);
  await pipeline.store.write((db) =>
    db.run(
      "INSERT INTO etl_runs (run_id, run_timestamp, status, status_at) VALUES ('r', '2026', 'REQUESTED', '2026')",
    )
  );
  for (const { name, path, init, status, body, headers = {} } of CASES) {
    await t.step(`${init?.method ?? "GET"} ${path.slice(0, 60)}: ${name}`, async () => {
      const answer = await pipeline.send(path, init);
      const text = await answer.text();
      assert.equal(answer.status, status, text.slice(0, 500));
      if (typeof body === "string") assert.equal(text, body);
      else if (body !== undefined) assert.match(text, body);
      for (const [header, wanted] of Object.entries(headers)) {
        if (wanted instanceof RegExp) assert.match(answer.headers.get(header) ?? "", wanted);
        else assert.equal(answer.headers.get(header), wanted);
      }
    });
  }
});

Deno.test("before the first run every route that needs the database answers 503", async (t) => {
  await using pipeline = await openApi({}, { store: () => Promise.resolve(undefined) });
  for (
    const [path, init] of [["/etl_runs"], ["/etl_runs/1"], ["/data/raw_users"], [
      "/query_sql",
      sql('{"query":"SELECT 1"}'),
    ]] as const
  ) {
    await t.step(path, async () => {
      const answer = await pipeline.send(path, init);
      assert.equal(answer.status, 503);
      assert.equal(
        await answer.text(),
        '{"detail":"The database hasn\'t been created yet. Run the pipeline first."}',
      );
    });
  }
  const ready = await pipeline.send("/readyz");
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /"status":"not ready","database":"The database hasn't been created yet/);
});

Deno.test("a long answer is compressed where the client accepts it, a short one isn't", async () => {
  await using pipeline = await openApi();
  for (let i = 0; i < 20; i++) await fillRun(pipeline.store);
  const accepting = { headers: { "accept-encoding": "gzip" } };
  const long = await pipeline.send("/etl_runs", accepting);
  assert.equal(long.headers.get("content-encoding"), "gzip");
  const text = await new Response(long.body!.pipeThrough(new DecompressionStream("gzip"))).text();
  assert.equal(JSON.parse(text).length, 20);
  const plain = await pipeline.send("/etl_runs");
  assert.equal(plain.headers.get("content-encoding"), null);
  assert.match(plain.headers.get("vary") ?? "", /Accept-Encoding/);
  await plain.body?.cancel();
  const short = await pipeline.send("/healthz", accepting);
  assert.equal(short.headers.get("content-encoding"), null);
  await short.body?.cancel();
});

Deno.test("64-bit numbers of records keep all their digits", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [], invalid: ['{"id":9223372036854775807,"age":1}'] });
  assert.match(await (await pipeline.send("/data/invalid_users")).text(), /"id":9223372036854775807,/);
  assert.match(
    JSON.stringify(await pipeline.ask("{ records(table: INVALID_USERS) { nodes { data } } }")),
    /9223372036854776000/,
  );
  const raw = await pipeline.send("/graphql?query={records(table:INVALID_USERS){nodes{data}}}");
  assert.match(await raw.text(), /"id":9223372036854775807,/);
});

Deno.test("an unexpected error shows no details", async () => {
  await using pipeline = await openApi({}, {
    store: () => {
      throw new Error("secret of the inside");
    },
  });
  const answer = await pipeline.send("/etl_runs");
  assert.equal(answer.status, 500);
  assert.equal(await answer.text(), '{"detail":"Internal Server Error"}');
});
