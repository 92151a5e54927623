import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { listen, type Listening } from "../../api/server.ts";
import { fillRun, openApi, type TestApi } from "../support/api.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

Deno.test("clients that send nothing, send too slowly, or send half a body are disconnected; others are answered meanwhile", async (t) => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, LOCAL, {
    headMs: 600,
    requestMs: 900,
    idleMs: 500,
    checkMs: 100,
  });
  const connections = {
    "says nothing": [""],
    "stops in the middle of the head": ["GET /etl_runs HTTP/1.1\r\nHost: loc"],
    "sends its head slowly": Array.from(
      "GET /etl_runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaa",
    ),
    "stops in the middle of the body": [
      "POST /query_sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
    "sends no further request": ["GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  };
  try {
    const slow = Object.entries(connections).map(async ([name, pieces]) =>
      [name, await closedAfter(server.port, pieces)] as const
    );
    const answer = await fetch(`http://127.0.0.1:${server.port}/healthz`);
    assert.equal(await answer.text(), '{"status":"ok"}');
    for (const [name, ms] of await Promise.all(slow)) {
      await t.step(`a client that ${name}`, () => assert.ok(ms < 4000, `${ms} ms`));
    }
  } finally {
    await server.close(100);
  }
});

Deno.test("a client that reads nothing of its answers is disconnected; one whose answer takes long is not", async () => {
  await using pipeline = await openApi();
  await pipeline.store.write((db) => {
    for (let i = 0; i < 200; i++) {
      db.run(
        `INSERT INTO etl_runs (run_id, run_timestamp, status, status_at, processed_file, valid_count, invalid_count, loaded_at)
         VALUES (?, '2026', 'COMPLETED', '2026', 'data/processed_users/etl_20261124_030007.jsonl', 1, 0, '2026')`,
        newRunId(),
      );
    }
  });
  // the many responses keep a busy machine from reading the head of the other request
  const server = await listen(pipeline.app, LOCAL, { stalledMs: 2_000, headMs: 120_000, requestMs: 120_000 });
  try {
    const stalled = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const asking = new TextEncoder().encode("GET /etl_runs HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500));
    const writing = stalled.write(asking).catch(() => {});
    const { data } = await postTo(server, "/graphql", {
      query:
        "mutation { startRun(input: { wait: true, timeoutSeconds: 4 }) { ... on StartRunSuccess { finished } } }",
    }) as { data: unknown };
    assert.deepEqual(data, { startRun: { finished: false } });
    let taken = 0;
    const buffer = new Uint8Array(1 << 20);
    try {
      for (let read; (read = await stalled.read(buffer)) !== null;) taken += read;
    } catch {
      // a reset connection is closed too
    }
    assert.ok(taken < 500 * 25_000, `${taken} bytes`);
    await writing;
    stalled.close();
  } finally {
    await server.close(1000);
  }
});

/** Sends the pieces one by one; returns the milliseconds until the server closed the connection. */
async function closedAfter(port: number, pieces: string[]): Promise<number> {
  const began = performance.now();
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const writing = (async () => {
    for (const piece of pieces) {
      await connection.write(new TextEncoder().encode(piece)).catch(() => {});
      if (pieces.length > 1) await new Promise((resolve) => setTimeout(resolve, 100));
      if (performance.now() - began > 5000) return;
    }
  })();
  const buffer = new Uint8Array(4096);
  try {
    while (await connection.read(buffer) !== null);
  } catch {
    // a reset connection is closed too
  }
  const took = performance.now() - began;
  await writing;
  connection.close();
  return took;
}

Deno.test("a subscription receives runs, and leaves nothing behind when its client disconnects", async () => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, LOCAL);
  try {
    const runId = newRunId();
    const all = await subscribe(server, "subscription { runEvents { runId type } }");
    const one = await subscribe(server, `subscription { runEvents(runId: "${runId}") { runId type } }`);
    await openCount(pipeline, 2);
    await tellOf(pipeline, newRunId());
    await tellOf(pipeline, runId);
    assert.equal((await one.next()).data.runEvents.runId, runId);
    assert.notEqual((await all.next()).data.runEvents.runId, runId);
    assert.equal((await all.next()).data.runEvents.runId, runId);
    await one.leave();
    await openCount(pipeline, 1);
    await all.leave();
    await openCount(pipeline, 0);
  } finally {
    await server.close(1000);
  }
});

Deno.test("a subscription receives actors whose mailbox changed", async () => {
  await using pipeline = await openApi();
  const server = await listen(pipeline.app, LOCAL);
  try {
    const actors = await subscribe(server, "subscription { actorChanges { name mailbox { paused } } }");
    await openCount(pipeline, 1, "actorChanges");
    const heard = actors.next();
    // the server looks once a second; the first state that it sees isn't a change
    const pausing = setInterval(() => void pipeline.channel.mailbox("channel:deliver").pause(), 50);
    let { data } = await heard.finally(() => clearInterval(pausing));
    assert.deepEqual(data.actorChanges, { name: "courier", mailbox: { paused: true } });
    const next = actors.next();
    await pipeline.channel.mailbox("channel:deliver").resume();
    ({ data } = await next);
    assert.deepEqual(data.actorChanges, { name: "courier", mailbox: { paused: false } });
    await actors.leave();
    await openCount(pipeline, 0, "actorChanges");
  } finally {
    await server.close(1000);
  }
});

Deno.test("closing the server ends subscriptions and waits, and lets answers in progress finish", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store);
  const server = await listen(pipeline.app, LOCAL);
  const events = await subscribe(server, "subscription { runEvents { runId } }");
  const waiting = postTo(server, "/graphql", {
    query: "mutation { startRun(input: { wait: true }) { ... on StartRunSuccess { finished } } }",
  });
  const counting = postTo(server, "/query_sql", {
    query:
      "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT max(n) AS n FROM c",
  });
  while ((await pipeline.channel.mailbox("channel:start_run").state()).depth === 0) {
    await new Promise((r) => setTimeout(r, 10));
  }
  await openCount(pipeline, 1);
  await server.close(60_000);
  assert.equal(await events.ended(), true);
  assert.deepEqual(await waiting, { data: { startRun: { finished: false } } });
  assert.deepEqual(await counting, { columns: ["n"], rows: [{ n: 3_000_000 }] });
});

async function postTo({ port }: Listening, path: string, body: unknown): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return await answer.json();
}

async function subscribe({ port }: Listening, query: string) {
  const answer = await fetch(`http://127.0.0.1:${port}/graphql?query=${encodeURIComponent(query)}`, {
    headers: { accept: "text/event-stream" },
  });
  assert.equal(answer.status, 200);
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    // deno-lint-ignore no-explicit-any -- tests check the shape of events
    async next(): Promise<any> {
      for (;;) {
        const event = /event: next\ndata: (.*)\n\n/.exec(text);
        if (event !== null) {
          text = text.slice(event.index + event[0].length);
          return JSON.parse(event[1]!);
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`The subscription ended; it said ${JSON.stringify(text)}.`);
        text += value;
      }
    },
    /** Closes the connection. Aborting the fetch would leave it open where its body is piped. */
    async leave() {
      await reader.cancel();
    },
    async ended() {
      for (;;) {
        const { done } = await reader.read();
        if (done) return true;
      }
    },
  };
}

async function tellOf(pipeline: TestApi, run_id: string): Promise<void> {
  await pipeline.channel.publish(
    compose("channel:run_events", `requested/${run_id}`, {
      type: "run_requested",
      run_id,
      actor: "cli",
      requested_by: "test",
    }),
  );
}

/** Waits until the metrics report `wanted` open subscriptions. */
async function openCount(pipeline: TestApi, wanted: number, subscription = "runEvents"): Promise<void> {
  const line = `etl_graphql_subscriptions{subscription="${subscription}"} ${wanted}`;
  const deadline = Date.now() + 60_000;
  for (let text = ""; !text.includes(line);) {
    assert.ok(Date.now() < deadline, `never ${line} in ${text.match(/etl_graphql_sub.*/g)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    text = await (await pipeline.send("/metrics")).text();
  }
}
