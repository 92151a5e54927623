import assert from "node:assert/strict";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { PermanentError } from "../shared/errors/errors.ts";
import { secret } from "../shared/pipeline/mod.ts";
import { needing } from "../tests/support/needs.ts";
import { type Answer, numbered, startPaged } from "../tests/support/paged_source.ts";
import type { AnySource } from "./source.ts";

const json = (body: unknown, headers: HeadersInit = {}) => Response.json(body, { headers });
const env = { TOKEN: "t0ken", USER: "ann", PASSWORD: "pa:ss" };
const NONE = { by: "none" } as const;

for (
  const [name, auth, wanted] of [
    ["bearer", { bearer: secret("TOKEN") }, { authorization: "Bearer t0ken" }],
    ["basic", { basic: [secret("USER"), secret("PASSWORD")] }, {
      authorization: `Basic ${btoa("ann:pa:ss")}`,
    }],
    ["basic without a password", { basic: [secret("TOKEN"), ""] }, {
      authorization: `Basic ${btoa("t0ken:")}`,
    }],
    ["header", { header: "X-Api-Key", value: secret("TOKEN") }, { "x-api-key": "t0ken" }],
  ] as const
) {
  Deno.test(`auth: ${name}`, async () => {
    let headers = new Headers();
    await using paged = await startPaged((request) => {
      headers = request.headers;
      return json(numbered(1));
    });
    await paged.extract({ auth, headers: { "X-Version": "2" }, query: { a: "b c", n: 2 }, paging: NONE }, {
      env,
    });
    for (const [name, value] of Object.entries(wanted)) assert.equal(headers.get(name), value);
    assert.deepEqual([headers.get("x-version"), headers.get("accept")], ["2", "application/json"]);
    assert.deepEqual(paged.requested, ["/things?a=b+c&n=2"]);
  });
}

Deno.test("an unset secret is named, and no request is sent", async () => {
  await using paged = await startPaged(() => json([]));
  await assert.rejects(
    paged.extract({ auth: { bearer: secret("NOT_SET") }, paging: NONE }),
    (error: unknown) => {
      assert.ok(error instanceof PermanentError);
      assert.match(error.message, /^Cannot extract things: NOT_SET is unset/);
      return true;
    },
  );
  assert.deepEqual(paged.requested, []);
});

Deno.test("credentials and headers go only to the source's own origin: neither to links nor to redirects of another one", async () => {
  const seen: Record<string, string | null>[] = [];
  const note: Answer = ({ url, headers }) => {
    seen.push({
      at: url.pathname,
      key: headers.get("x-key"),
      version: headers.get("x-version"),
      query: url.searchParams.get("q"),
    });
    return json(numbered(2, 11));
  };
  await using elsewhere = await startPaged(note);
  await using paged = await startPaged((request) => {
    if (request.url.pathname === "/moved") {
      return new Response(null, { status: 307, headers: { location: `${elsewhere.origin}/redirected` } });
    }
    note(request);
    const next = request.url.pathname === "/things" ? "/moved" : undefined;
    return json(numbered(10), next === undefined ? {} : { link: `<${next}>; rel=next` });
  });
  const source: Omit<AnySource, "url"> = {
    auth: { header: "x-key", value: secret("TOKEN") },
    headers: { "x-version": "2" },
    query: { q: "mine" },
    origins: [elsewhere.origin],
    paging: { by: "link-header" },
  };
  assert.equal((await paged.extract(source, { env })).lines.length, 12);
  assert.deepEqual(seen, [
    { at: "/things", key: "t0ken", version: "2", query: "mine" },
    { at: "/redirected", key: null, version: null, query: null },
  ]);
});

Deno.test("a key in the query is also sent with links, and is stored nowhere, even if the source repeats it in its links", async () => {
  await using paged = await startPaged(({ url }) => {
    const skip = Number(url.searchParams.get("skip") ?? 0);
    const next = `${url.origin}/things?key=${url.searchParams.get("key")}&skip=${skip + 10}`;
    return json({ items: numbered(10, skip + 1), next: skip < 20 ? next : null });
  });
  const source: Omit<AnySource, "url"> = {
    auth: { query: "key", value: secret("TOKEN") },
    records: "items",
    paging: { by: "link", next: "next" },
  };
  await assert.rejects(paged.extract(source, { env, pages: 2 }));
  assert.doesNotMatch(await Deno.readTextFile(paged.state), /t0ken/);
  await paged.extract(source, { env });
  assert.ok(paged.requested.every((path) => path.includes("key=t0ken")), paged.requested.join());
});

/** Starts a token server whose tokens last `seconds`, and a source that accepts only the newest token. */
async function guarded(seconds: number, take: (id: string, form: URLSearchParams) => number = () => 200) {
  const requested: string[] = [];
  let tokens = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const form = new URLSearchParams(await request.text());
    const id = request.headers.get("authorization") ?? "in the body";
    requested.push(`${id} ${form}`);
    const status = take(id, form);
    return status === 200
      ? json({ access_token: `token-${++tokens}`, token_type: "bearer", expires_in: seconds })
      : new Response("no", { status });
  });
  const paged = await startPaged(({ url, headers }) => {
    if (headers.get("authorization") !== `Bearer token-${tokens}`) return new Response(null, { status: 401 });
    const page = Number(url.searchParams.get("page"));
    if (page === 2 && tokens === 1) tokens = 2; // the source revokes the first token
    return json(page < 4 ? numbered(10, page * 10) : []);
  });
  const oauth2 = {
    token: `http://127.0.0.1:${server.addr.port}/token`,
    id: secret("USER"),
    secret: secret("PASSWORD"),
    scope: "read",
  } as const;
  return {
    requested,
    extract: () => paged.extract({ auth: { oauth2 }, paging: { by: "page", page: "page" } }, { env }),
    paged,
    async [Symbol.asyncDispose]() {
      await paged[Symbol.asyncDispose]();
      await server.shutdown();
    },
  };
}

const IN_HEADER = `Basic ${btoa("ann:pa%3Ass")} grant_type=client_credentials&scope=read`;

Deno.test("oauth2: all pages use one token, and a new one is requested after a 401", async () => {
  await using source = await guarded(3_600);
  assert.equal((await source.extract()).lines.length, 30);
  assert.deepEqual(source.requested, [IN_HEADER, IN_HEADER]);
});

Deno.test("oauth2: parallel pages that are refused one after the other share one new token", async () => {
  let refused = 0;
  const [all, renewed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let tokens = 0;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => json({ access_token: `token-${++tokens}` }),
  );
  await using paged = await startPaged(async ({ url, headers }) => {
    const skip = Number(url.searchParams.get("skip"));
    const isOld = headers.get("authorization") === "Bearer token-1";
    if (skip > 0 && isOld) {
      if (++refused === 4) all.resolve();
      await (refused === 1 ? all.promise : renewed.promise);
      return new Response(null, { status: 401 });
    }
    if (skip > 0) renewed.resolve();
    return json({ items: numbered(2, skip + 1), total: 40 });
  });
  const oauth2 = {
    token: `http://127.0.0.1:${server.addr.port}/token`,
    id: secret("USER"),
    secret: secret("PASSWORD"),
  } as const;
  const paging = { by: "offset", offset: "skip", limit: "limit", size: 2, total: "total" } as const;
  const source = { auth: { oauth2 }, records: "items", concurrency: 4, paging };
  const { detail } = await paged.extract(source, { env, patience: { maxRetries: 0 } });
  assert.deepEqual([detail.records, refused, tokens], [40, 4, 2]);
});

Deno.test("oauth2: a token is renewed before it expires", async () => {
  await using source = await guarded(0);
  await source.extract();
  assert.ok(source.requested.length >= 4, String(source.requested.length));
});

Deno.test("oauth2: a token server that expects the client in the body gets it there; one that refuses it fails the run without a secret in the reason", async () => {
  await using source = await guarded(3_600, (id) => id === "in the body" ? 200 : 401);
  assert.equal((await source.extract()).lines.length, 30);
  assert.match(source.requested[1]!, /^in the body .*client_id=ann&client_secret=pa%3Ass$/);
  await using refused = await guarded(3_600, () => 403);
  await assert.rejects(refused.extract(), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(
      error.message,
      /^Cannot get a token from 127\.0\.0\.1:\d+: HTTP 403\. Check the client's id/,
    );
    assert.doesNotMatch(error.message, /pa:ss|ann\b/);
    return true;
  });
});

Deno.test("rate: no more requests a second than the definition allows", async () => {
  const times: number[] = [];
  await using paged = await startPaged(({ url }) => {
    times.push(performance.now());
    return json(Number(url.searchParams.get("page")) < 5 ? numbered(2, 2 * times.length) : []);
  });
  const began = performance.now(); // the first request may arrive late and the later ones on time
  await paged.extract({ rate: 10, paging: { by: "page", page: "page" } });
  assert.equal(times.length, 5);
  const lasted = times.at(-1)! - began;
  assert.ok(lasted >= 4 * 100 - 5, `${lasted} ms`);
});

Deno.test("rate: pages that wait for their turn don't time out", async () => {
  await using paged = await startPaged(({ url }) => {
    const skip = Number(url.searchParams.get("skip"));
    return json({ items: numbered(2, skip + 1), total: 16 });
  });
  const paging = { by: "offset", offset: "skip", limit: "limit", size: 2, total: "total" } as const;
  const source = { records: "items", concurrency: 8, rate: 5, paging };
  const { detail } = await paged.extract(source, { patience: { timeoutMs: 1_000, maxRetries: 0 } });
  assert.deepEqual([detail.records, paged.requested.length], [16, 8]);
});

Deno.test("one connection is kept for all pages, or as many as pages are requested at once", async () => {
  for (const concurrency of [1, 4]) {
    const ports = new Set<number>();
    await using paged = await startPaged(({ url, port }) => {
      ports.add(port);
      const skip = Number(url.searchParams.get("skip"));
      return json({ items: numbered(2, skip + 1), total: 80 });
    });
    const paging = { by: "offset", offset: "skip", limit: "limit", size: 2, total: "total" } as const;
    const { detail } = await paged.extract({ records: "items", concurrency, paging });
    assert.deepEqual([detail.records, paged.requested.length], [80, 40]);
    assert.ok(ports.size <= concurrency, `${ports.size} connections for ${concurrency} at once`);
  }
});

Deno.test("the proxy of the usual variables is used, with permission only for the source's host", async () => {
  const requested: string[] = [];
  await using proxy = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    requested.push(request.url);
    return json({ users: numbered(3), total: 3 });
  });
  const url = "http://source.example/users";
  const env = { HTTP_PROXY: `http://127.0.0.1:${proxy.addr.port}` };
  assert.match(await extracted(url, "source.example:80", env), /done .*"record_count":3/);
  assert.deepEqual(requested, [`${url}?limit=50&skip=0`]);
});

needing("openssl")("HTTP/2 is used with a server that supports it", async () => {
  const folder = await Deno.makeTempDir();
  const versions = new Set<string>();
  const { promise: listening, resolve } = Promise.withResolvers<number>();
  try {
    const { code } = await new Deno.Command("openssl", {
      args: [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=localhost"],
        ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
      ],
      cwd: folder,
      stderr: "null",
    }).output();
    assert.equal(code, 0);
    const [key, cert] = await Promise.all(
      ["key.pem", "cert.pem"].map((name) => Deno.readTextFile(`${folder}/${name}`)),
    );
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
      versions.add(request.httpVersion);
      response.end(JSON.stringify({ users: numbered(3), total: 3 }));
    });
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    try {
      const host = `127.0.0.1:${await listening}`;
      const output = await extracted(`https://${host}/users`, host, { DENO_CERT: `${folder}/cert.pem` });
      assert.match(output, /done .*"record_count":3/);
      assert.deepEqual([...versions], ["2.0"]);
    } finally {
      await new Promise((closed) => server.close(closed));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Extracts from `url` in a process that can reach only `host`; returns its output. */
async function extracted(url: string, host: string, env: Record<string, string>): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const request = JSON.stringify({ id: "request", run_id: crypto.randomUUID(), requested_by: "test" });
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        `--allow-net=${host}`,
        `--allow-read=${folder}/data`,
        `--allow-write=${folder}/data`,
        "--allow-sys=hostname,statfs",
        new URL("../tests/support/extract_process.ts", import.meta.url).pathname,
        url,
        "50",
        request,
      ],
      cwd: folder,
      env,
      stderr: "inherit",
    }).output();
    assert.ok(success);
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
