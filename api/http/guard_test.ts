import assert from "node:assert/strict";
import { loadConfig } from "../../shared/config/config.ts";
import { openApi, ORIGIN } from "../../tests/support/api.ts";
import { ApiVariables } from "../config.ts";

const TOKEN = "a-token-that-is-long";
const bearer = { authorization: `Bearer ${TOKEN}` };

Deno.test("with a token set, every route but liveness and readiness requires it", async (t) => {
  await using pipeline = await openApi({ API_TOKEN: TOKEN });
  for (
    const path of [
      "/",
      "/etl_runs",
      "/etl_runs/1",
      "/data/raw_users",
      "/docs",
      "/openapi.json",
      "/metrics",
      "/graphql?query={__typename}",
      "/nowhere",
    ]
  ) {
    await t.step(path, async () => {
      const without = await pipeline.send(path);
      assert.equal(without.status, 401);
      assert.equal(without.headers.get("www-authenticate"), "Bearer");
      assert.equal(await without.text(), '{"detail":"Not authenticated"}');
      for (
        const authorization of ["Bearer wrong", "Bearer", `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, TOKEN, ""]
      ) {
        const wrong = await pipeline.send(path, { headers: { authorization } });
        assert.equal(wrong.status, 401, authorization);
        await wrong.body?.cancel();
      }
      const right = await pipeline.send(path, { headers: bearer });
      assert.equal(right.status, path === "/nowhere" || path === "/etl_runs/1" ? 404 : 200);
      await right.body?.cancel();
    });
  }
  for (const path of ["/healthz", "/readyz"]) assert.equal((await pipeline.send(path)).status, 200);
});

Deno.test("a token that can't be sent in a header or at sign-in is refused at the start", () => {
  for (const token of ["fifteen-letters", "with spaces inside it", "tøken-åäö-åäö-åäö", "a".repeat(1001)]) {
    assert.throws(
      () => loadConfig("api", ApiVariables, { API_TOKEN: token }),
      /API_TOKEN is \(hidden\): wanted 16 to 1000 letters, digits and signs of ASCII, without spaces/,
    );
  }
});

Deno.test("a browser signs in with the token and gets a cookie in its place, valid until it expires or the token changes", async () => {
  let now = Date.parse("2026-11-24T03:00:00Z");
  await using pipeline = await openApi({ API_TOKEN: TOKEN }, { clock: () => now });
  const page = await pipeline.send("/graphql", { headers: { accept: "text/html" } });
  assert.equal(page.status, 401);
  assert.match(await page.text(), /Sign in/);
  const signIn = (token: string) =>
    pipeline.send("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
  assert.equal((await signIn("wrong")).status, 401);
  const signedIn = await signIn(TOKEN);
  assert.equal(await signedIn.text(), '{"status":"signed in"}');
  const cookie = signedIn.headers.get("set-cookie")!;
  assert.match(cookie, /^etl_session=[^;]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
  assert.ok(!cookie.includes(TOKEN));
  const value = cookie.split(";")[0]!;
  const status = async (given: string) =>
    (await pipeline.send("/etl_runs", { headers: { cookie: given } })).status;
  assert.equal(await status(value), 200);
  const [ends, proof] = value.slice("etl_session=".length).split(".");
  assert.equal(await status(`etl_session=${Number(ends) + 1}.${proof}`), 401);
  assert.equal(await status(`etl_session=${ends}.`), 401);
  assert.equal(await status("etl_session=x"), 401);
  now += 12 * 3600 * 1000 + 1000;
  assert.equal(await status(value), 401);
});

Deno.test("a foreign host name is refused, whatever is requested", async (t) => {
  await using pipeline = await openApi();
  for (
    const [host, status] of [
      ["localhost:8000", 200],
      ["LOCALHOST", 200],
      ["127.0.0.1:9999", 200],
      ["[::1]:8000", 200],
      ["api:8000", 200],
      ["evil.example", 400],
      ["localhost.evil.example:8000", 400],
      ["evil.example:8000@localhost", 400],
      ["", 400],
    ] as const
  ) {
    await t.step(host || "(none)", async () => {
      for (const path of ["/healthz", "/etl_runs"]) {
        const answer = await pipeline.send(path, { headers: { host } });
        assert.equal(answer.status, status, await answer.text());
      }
    });
  }
});

Deno.test("pages of listed origins may read answers and errors; others may not", async () => {
  await using pipeline = await openApi({ CORS_ORIGINS: "http://localhost:3000,https://front.example" });
  for (const path of ["/etl_runs", "/nowhere"]) {
    const listed = await pipeline.send(path, { headers: { origin: "https://front.example" } });
    assert.equal(listed.headers.get("access-control-allow-origin"), "https://front.example");
    assert.match(listed.headers.get("vary") ?? "", /Origin/);
    assert.match(listed.headers.get("access-control-expose-headers") ?? "", /X-Total-Count/);
    const other = await pipeline.send(path, { headers: { origin: "https://evil.example" } });
    assert.equal(other.headers.get("access-control-allow-origin"), null);
    await listed.body?.cancel();
    await other.body?.cancel();
  }
  const preflight = (origin: string) =>
    pipeline.send("/query_sql", {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
      },
    });
  const requested = await preflight("http://localhost:3000");
  assert.equal(requested.status, 204);
  assert.equal(requested.headers.get("access-control-allow-origin"), "http://localhost:3000");
  assert.match(requested.headers.get("access-control-allow-headers") ?? "", /Content-Type/i);
  assert.equal((await preflight("https://evil.example")).headers.get("access-control-allow-origin"), null);
});

Deno.test("with a token set, a preflight needs none", async () => {
  await using pipeline = await openApi({ API_TOKEN: TOKEN });
  const requested = await pipeline.send("/etl_runs", {
    method: "OPTIONS",
    headers: {
      origin: "http://localhost:3000",
      "access-control-request-method": "GET",
      "access-control-request-headers": "authorization",
    },
  });
  assert.equal(requested.status, 204);
  assert.match(requested.headers.get("access-control-allow-headers") ?? "", /Authorization/i);
});

Deno.test("every answer carries the security headers for browsers", async () => {
  await using pipeline = await openApi();
  for (const path of ["/", "/etl_runs", "/nowhere", "/graphql?query={__typename}", "/etl_runs/"]) {
    const { headers, body } = await pipeline.send(path);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert.equal(headers.get("cache-control"), "no-store");
    await body?.cancel();
  }
  for (const path of ["/", "/docs", "/graphql"]) {
    const { headers, body } = await pipeline.send(path, { headers: { accept: "text/html" } });
    const policy = headers.get("content-security-policy")!;
    assert.match(policy, /default-src 'none'.*connect-src 'self'.*frame-ancestors 'none'/);
    assert.ok(!/script-src[^;]*unsafe/.test(policy), policy);
    await body?.cancel();
  }
});

Deno.test("a redirect stays on the host that was called", async () => {
  await using pipeline = await openApi();
  const answer = await pipeline.send(`${ORIGIN}//evil.example/etl_runs/`);
  assert.equal(answer.status, 404);
  await answer.body?.cancel();
});
