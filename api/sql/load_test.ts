import assert from "node:assert/strict";
import { fillRun, openApi } from "../../tests/support/api.ts";
import { openSqlConsole } from "./console.ts";
import { childrenOf, procOf, ticksOf } from "../../tests/support/processes.ts";

const ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c";

Deno.test("forty endless queries at once end or are refused in time, others are answered meanwhile, and no process keeps working", async () => {
  await using pipeline = await openApi({ SQL_TIMEOUT_MS: "2000" });
  await fillRun(pipeline.store);
  const waits: number[] = [];
  const askOthers = async (goOn: () => boolean) => {
    waits.length = 0;
    while (goOn()) {
      const sent = performance.now();
      const answer = await pipeline.send("/etl_runs");
      assert.equal((await answer.json()).length, 1);
      waits.push(performance.now() - sent);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    waits.sort((a, b) => a - b);
    return waits[Math.floor(waits.length * 0.99)]!;
  };
  // on a busy machine, a response takes time even without a query
  const quietUntil = performance.now() + 1000;
  const quiet = await askOthers(() => performance.now() < quietUntil);
  const began = performance.now();
  const endless = Array.from({ length: 40 }, async () => {
    const answer = await query(pipeline, ENDLESS);
    return {
      status: answer.status,
      retryAfter: answer.headers.get("retry-after"),
      detail: (await answer.json()).detail as string,
    };
  });
  let done = false;
  const all = Promise.all(endless).finally(() => done = true);
  const p99 = await askOthers(() => !done);
  const answers = await all;
  const tookMs = performance.now() - began;
  const ended = answers.filter(({ status }) => status === 400);
  const refused = answers.filter(({ status }) => status === 503);
  assert.equal(ended.length + refused.length, 40);
  assert.ok(ended.length >= 2);
  for (const { detail } of ended) assert.match(detail, /^SQL error: the query ran for more than 2000 ms/);
  for (const { retryAfter } of refused) assert.equal(retryAfter, "2");
  assert.ok(tookMs < 7000, `${tookMs} ms`);
  assert.ok(
    p99 < Math.max(100, 3 * quiet),
    `p99 ${p99} ms of ${waits.length} (${waits.slice(-5).map(Math.round)}), ${quiet} ms without queries`,
  );
  const { rows, detail } = await (await query(pipeline, "SELECT 1 AS n")).json();
  assert.equal(rows?.[0].n, 1, detail);
  await nobodyWorks();
});

Deno.test("a query whose client has disconnected is killed", async () => {
  await using pipeline = await openApi({ SQL_TIMEOUT_MS: "60000" });
  await fillRun(pipeline.store);
  await query(pipeline, "SELECT 1");
  const client = new AbortController();
  const requested = query(pipeline, ENDLESS, client.signal);
  while ((await workingChildren()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  client.abort();
  await requested;
  await nobodyWorks();
});

Deno.test("an idle process ends, and the next query is answered", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const bounds = { maxRows: 10, maxBytes: 10_000, timeoutMs: 60_000 };
  await using sql = openSqlConsole({ path: pipeline.path, ...bounds, idleMs: 1 });
  const { signal } = new AbortController();
  for (const _ of [1, 2]) {
    assert.equal(new TextDecoder().decode((await sql.query("SELECT 1 AS n", signal)).rows), '[{"n":1}]');
    for (
      let tries = 0;
      (await Promise.all((await childrenOf(Deno.pid)).map(isConsole))).includes(true);
      tries++
    ) {
      assert.ok(tries < 500, "an idle process stays");
    }
  }
});

Deno.test("a query's time limit begins when its process is ready", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const bounds = { maxRows: 10, maxBytes: 10_000, timeoutMs: 1 };
  await using sql = openSqlConsole({ path: pipeline.path, ...bounds });
  const began = performance.now();
  const refused = await sql.query(ENDLESS, new AbortController().signal).catch((error) => error);
  assert.match(refused.message, /^the query ran for more than 1 ms/);
  const tookMs = performance.now() - began;
  assert.ok(tookMs > 20, `no process starts in ${tookMs} ms`);
});

Deno.test("a query ends with the process that requested it, even if that was killed", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const asking = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `const { openSqlConsole } = await import(${
        JSON.stringify(new URL("./console.ts", import.meta.url).href)
      });
       const bounds = { maxRows: 10, maxBytes: 10_000, timeoutMs: 60_000 };
       const sql = openSqlConsole({ path: ${JSON.stringify(pipeline.path)}, ...bounds });
       await sql.query(${JSON.stringify(ENDLESS)}, new AbortController().signal);`,
    ],
    stdout: "null",
  }).spawn();
  let working: number[] = [];
  while (working.length === 0) working = await workingChildren(asking.pid);
  asking.kill("SIGKILL");
  await asking.status;
  const gone = async () => (await ticksOf(working[0]!)) === undefined;
  for (let tries = 0; !await gone(); tries++) {
    assert.ok(tries < 100, `process ${working[0]} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

function query(
  pipeline: { send(path: string, init: RequestInit): Promise<Response> },
  sql: string,
  signal?: AbortSignal,
) {
  return pipeline.send("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: sql }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function isConsole(pid: number): Promise<boolean> {
  return (await procOf(pid, "cmdline")).includes("sql/worker.ts");
}

/**
 * Waits until the console's processes are idle. A new process is busy while it starts, on a busy machine for seconds;
 * a query that wasn't ended would never be.
 */
async function nobodyWorks(): Promise<void> {
  for (let tries = 0; (await workingChildren()).length > 0; tries++) {
    assert.ok(tries < 300, "a process still runs");
  }
}

/** Returns the child processes that use the processor, measured over a tenth of a second. */
async function workingChildren(parent = Deno.pid): Promise<number[]> {
  const before = await cpuOfChildren(parent);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const after = await cpuOfChildren(parent);
  return [...after].filter(([pid, ticks]) => ticks - (before.get(pid) ?? ticks) > 3).map(([pid]) => pid);
}

async function cpuOfChildren(parent: number): Promise<Map<number, number>> {
  const ticks = new Map<number, number>();
  for (const pid of await childrenOf(parent)) ticks.set(pid, await ticksOf(pid) ?? 0);
  return ticks;
}
