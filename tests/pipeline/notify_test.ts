/**
 * Notifications of a whole pipeline: real services with the permissions of their tasks, and receivers that
 * check each signature.
 *
 * @module
 */
import assert from "node:assert/strict";
import { environmentOf } from "../../cli/services.ts";
import { Database } from "../../shared/sqlite/database.ts";
import { needing } from "../support/needs.ts";
import {
  HIDDEN_PATH,
  HIDDEN_QUERY,
  SECRET,
  startReceiver,
  startTalker,
  type TestReceiver,
} from "../support/receiver.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

/**
 * Starts a pipeline that notifies `urls`. Its source responds with 404 while `broken` is set, and changes its
 * fields with `drifts`.
 */
async function open(
  urls: readonly string[],
  { channel = "embedded", env = {} }: { channel?: "embedded" | "redis"; env?: Record<string, string> } = {},
) {
  const source = { broken: false, drifts: false };
  const pipeline = await startPipeline({
    channel,
    sftp: "none",
    users: 30,
    env: {
      NOTIFY_URL: urls.join(","),
      NOTIFY_SECRET: SECRET,
      PUBLIC_URL: "https://etl.example.com",
      LOG_LEVEL: "trace",
      ...env,
    },
    wrap: (answer) => async (request) => {
      if (source.broken) return new Response("down", { status: 404 });
      const response = await answer(request);
      if (!source.drifts) return response;
      const text = (await response.text()).replaceAll('"eyeColor":', '"eye":').replace(
        /"height":([\d.]+)/g,
        '"height":"$1"',
      );
      return new Response(text, { headers: { "content-type": "application/json" } });
    },
  });
  return { pipeline, source };
}

function assertSilent(pipeline: TestPipeline): void {
  const logged = pipeline.logs().map(({ text }) => text).join("\n");
  for (const secret of [HIDDEN_PATH, HIDDEN_QUERY, SECRET, SECRET.slice("whsec_".length)]) {
    assert.ok(!logged.includes(secret), "a log line holds a secret");
  }
}

const notifications = ({ received }: TestReceiver, type: string) =>
  received.filter(({ body }) => body.type === type);

async function storyOf(channel: "embedded" | "redis"): Promise<void> {
  await using receiver = startReceiver();
  const { pipeline, source } = await open([receiver.url], { channel });
  await using _pipeline = pipeline;
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed(await pipeline.tell());
  source.broken = true;
  const failed = await pipeline.tell();
  await pipeline.status("FAILED", failed);
  source.broken = false;
  source.drifts = true;
  const run = await pipeline.completed(await pipeline.tell());
  await pipeline.until(
    "all notifications",
    () => Promise.resolve(notifications(receiver, "run.recovered").length > 0),
  );
  await pipeline.stop("saver");
  assert.deepEqual(receiver.complaints, [], "every signature is good");
  const types = receiver.received.map(({ body }) => body.type);
  assert.deepEqual(new Set(types), new Set(["run.failed", "source.drift", "run.recovered"]));
  assert.equal(types.length, 3);
  const [failure] = notifications(receiver, "run.failed");
  assert.match(failure!.body.text, /^\[users\] Run \d+ failed while extracting: .*404/);
  assert.match(String(failure!.body.data.link), /^https:\/\/etl\.example\.com\/runs\/[0-9a-f-]{36}$/);
  const [drift] = notifications(receiver, "source.drift");
  assert.deepEqual(drift!.body.data.new, ["eye"]);
  assert.deepEqual(drift!.body.data.gone, ["eyeColor"]);
  assert.deepEqual(drift!.body.data.changed, [{ field: "height", before: ["number"], now: ["string"] }]);
  assert.equal(notifications(receiver, "run.recovered")[0]!.body.data.run_id, run.run_id);
  const records = pipeline.sql<{ email: string }>(
    "SELECT json_extract(json, '$.email') AS email FROM raw_records",
  );
  const all = receiver.received.map(({ text }) => text).join("\n");
  assert.ok(
    records.length > 30 && records.every(({ email }) => !all.includes(email)),
    "no value of a record",
  );
  assertSilent(pipeline);
}

Deno.test("a failed run, its source's new fields and its recovery are reported, each once (embedded)", () =>
  storyOf("embedded"));
needing("redis-server")(
  "a failed run, its source's new fields and its recovery are reported, each once (redis)",
  () => storyOf("redis"),
);

async function killedOften(channel: "embedded" | "redis"): Promise<void> {
  // a notification is accepted only after the saver was killed twice while sending it
  const reached = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using receiver = startReceiver((times) => {
    if (times > reached.length) return new Response(null, { status: 204 });
    reached[times - 1]!.resolve();
    return new Promise<Response>((resolve) =>
      setTimeout(() => resolve(new Response(null, { status: 204 })), 300)
    );
  });
  const { pipeline, source } = await open([receiver.url], { channel });
  await using _pipeline = pipeline;
  source.broken = true;
  await pipeline.start("extractor", "saver");
  const failed = await pipeline.tell();
  for (const { promise } of reached) {
    await promise;
    await pipeline.kill("saver");
    await pipeline.start("saver");
  }
  await pipeline.until("a note of it", () => {
    const sent = pipeline.sql("SELECT 1 FROM notifications WHERE type = 'run.failed' AND state = 'SENT'");
    return Promise.resolve(sent.length === 1);
  });
  assert.deepEqual(receiver.complaints, []);
  const failures = notifications(receiver, "run.failed");
  assert.ok(failures.length >= 2, "it was sent again");
  assert.equal(new Set(failures.map(({ id }) => id)).size, 1, "one id an event");
  assert.equal(new Set(failures.map(({ text }) => text)).size, 1);
  assert.equal(failures[0]!.body.data.run_id, failed);
}

Deno.test("a saver killed while it notifies repeats the notification under the same id (embedded)", () =>
  killedOften("embedded"));
needing("redis-server")(
  "a saver killed while it notifies repeats the notification under the same id (redis)",
  () => killedOften("redis"),
);

Deno.test("receivers that never answer, or answer endlessly, delay no run and no other receiver", async () => {
  await using silent = startTalker(async (connection) => {
    while (await connection.read(new Uint8Array(65_536)) !== null);
  });
  await using endless = startTalker(async (connection) => {
    await connection.read(new Uint8Array(65_536));
    for (;;) await connection.write(new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n"));
  });
  await using healthy = startReceiver();
  const { pipeline, source } = await open([silent.url, endless.url, healthy.url]);
  await using _pipeline = pipeline;
  await pipeline.start("extractor", "transformer", "saver");
  const timed = async () => {
    const started = performance.now();
    await pipeline.completed(await pipeline.tell());
    return performance.now() - started;
  };
  const usual = await timed();
  source.broken = true;
  await pipeline.status("FAILED", await pipeline.tell());
  await pipeline.until("a connection of the silent one", () => Promise.resolve(silent.connections > 0));
  source.broken = false;
  const took = await timed();
  assert.ok(took < usual + 9_000, `the run took ${took} ms while a receiver was silent, ${usual} ms before`);
  await pipeline.until(
    "the other receiver knows",
    () => Promise.resolve(notifications(healthy, "run.recovered").length === 1),
  );
  assert.deepEqual(healthy.complaints, []);
  assertSilent(pipeline);
});

Deno.test("a run in the foreground ends after its failure was reported, and only the saver has the secret", async () => {
  await using receiver = startReceiver();
  const { pipeline, source } = await open([receiver.url], { env: { LOG_LEVEL: "" } });
  await using _pipeline = pipeline;
  source.broken = true;
  const { code, stdout, stderr } = await pipeline.task("run");
  assert.equal(code, 1);
  assert.deepEqual(receiver.complaints, []);
  assert.equal(notifications(receiver, "run.failed").length, 1);
  for (const secret of [HIDDEN_PATH, HIDDEN_QUERY, SECRET]) assert.ok(!(stdout + stderr).includes(secret));
  const { NOTIFY_URL, NOTIFY_SECRET, TZ } = environmentOf(
    "api",
    { ...pipeline.env, TZ: "UTC" },
    pipeline.pipelines,
  );
  assert.deepEqual([NOTIFY_URL, NOTIFY_SECRET, TZ], [undefined, undefined, "UTC"]);
  assert.equal(environmentOf("saver", pipeline.env, pipeline.pipelines).NOTIFY_SECRET, SECRET);
});

Deno.test("a planned time missed while nothing ran is reported when the saver starts, though the extractor is dead", async () => {
  await using receiver = startReceiver();
  const { pipeline } = await open([receiver.url], { env: { SCHEDULE: "0 3 * * *" } });
  await using _pipeline = pipeline;
  const watched = () => pipeline.sql<{ judged_until: string }>("SELECT judged_until FROM watched_schedules");
  await pipeline.start("saver");
  await pipeline.until("the schedule is watched", () => Promise.resolve(watched().length > 0));
  await pipeline.stop("saver");
  const twoDaysAgo = new Date(Date.now() - 48 * 3_600_000).toISOString();
  {
    using database = new Database(`${pipeline.folder}/database/data.db`);
    database.run("UPDATE watched_schedules SET judged_until = ?", twoDaysAgo);
  }
  for (let start = 0; start < 2; start++) {
    await pipeline.start("saver");
    await pipeline.until(
      "it is judged",
      () => Promise.resolve(watched().every((row) => row.judged_until > twoDaysAgo)),
    );
    await receiver.times(1);
    await pipeline.kill("saver");
  }
  const late = notifications(receiver, "run.late").filter(({ body }) => body.data.pipeline === "users");
  assert.equal(new Set(late.map(({ id }) => id)).size, 1, "a restart tells nothing new");
  assert.equal(late[0]!.body.data.extractor, "not running");
  assert.match(late[0]!.body.text, /^\[users\] No run has completed since .*T03:00:00\.000Z/);
});
