/**
 * Sends every method to every route through a socket.
 *
 * @module
 */
import assert from "node:assert/strict";
import { listen } from "../../api/server.ts";
import { openApi } from "../support/api.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];
const PATHS = [
  "/",
  "/etl_runs",
  "/etl_runs/1",
  "/data/raw_users",
  "/query_sql",
  "/docs",
  "/openapi.json",
  "/healthz",
  "/readyz",
  "/metrics",
  "/session",
  "/graphql",
  "/nowhere",
];

Deno.test("no method on any route, with or without a body, ends in a server error; an unsupported one gets 405 with Allow", async () => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, { hostname: "127.0.0.1", port: 0 });
  try {
    const broken: string[] = [];
    for (const path of PATHS) {
      for (const method of METHODS) {
        for (const body of ["", "Transfer-Encoding: chunked", "Content-Length: 2"]) {
          const { status, allow } = await ask(server.port, method, path, body);
          const what = `${method} ${path} (${body}): ${status} Allow: ${allow}`;
          if (status >= 500 && path !== "/readyz") broken.push(what);
          if (status === 405 && (allow === undefined || allow.split(", ").includes(method))) {
            broken.push(what);
          }
        }
      }
    }
    assert.deepEqual(broken, []);
    for (const path of ["/query_sql", "/etl_runs/1", "/"]) {
      assert.equal((await ask(server.port, "DELETE", path, "")).status, 405, path);
    }
  } finally {
    await server.close(100);
  }
});

async function ask(
  port: number,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; allow: string | undefined }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = [
    `${method} ${path} HTTP/1.1`,
    "Host: localhost",
    "Connection: close",
    "Content-Type: application/json",
  ];
  const sent = body === "" ? "" : body.startsWith("Transfer") ? "2\r\n{}\r\n0\r\n\r\n" : "{}";
  const lines = [...head, ...(body === "" ? [] : [body]), "", sent].join("\r\n");
  await connection.write(new TextEncoder().encode(lines));
  const decoder = new TextDecoder();
  let answer = "";
  for await (const piece of connection.readable) answer += decoder.decode(piece, { stream: true });
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
  assert.ok(status >= 200, `${method} ${path} (${body}) was answered ${JSON.stringify(answer.slice(0, 80))}`);
  return { status, allow: /^allow: (.*)$/im.exec(answer)?.[1]?.trim() };
}

Deno.test("a body that is not UTF-8 is refused, not read with replacement characters", async () => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, { hostname: "127.0.0.1", port: 0 });
  try {
    for (const path of ["/query_sql", "/graphql"]) {
      const text = new TextEncoder().encode(`{"query":"SELECT '?'"}`);
      const body = text.map((byte) => byte === "?".charCodeAt(0) ? 0xff : byte);
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: "POST", headers, body });
      assert.equal(answer.status, 422, path);
      assert.equal((await answer.json()).detail[0].ctx.error, "The body is not UTF-8");
    }
  } finally {
    await server.close(100);
  }
});

Deno.test("a body sent in chunks is read, up to the bound", async () => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, { hostname: "127.0.0.1", port: 0 });
  const post = async (path: string, body: string) => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Blob([body]).stream(),
    });
    return [answer.status, await answer.text()];
  };
  try {
    const answered = '{"columns":["one"],"rows":[{"one":1}]}';
    assert.deepEqual(await post("/query_sql", '{"query":"SELECT 1 AS one"}'), [200, answered]);
    const typename = '{"data":{"__typename":"Query"}}';
    assert.deepEqual(await post("/graphql", '{"query":"{ __typename }"}'), [200, typename]);
    const [status] = await post("/query_sql", `{"query":"SELECT 1${" ".repeat(1_000_000)}"}`);
    assert.equal(status, 413);
  } finally {
    await server.close(0);
  }
});
