import assert from "node:assert/strict";
import { newRunId } from "../shared/contracts/ids.ts";
import { openSqlite } from "../shared/store/sqlite/open.ts";
import { loadTexts, usersTables } from "../tests/support/store.ts";
import { needing } from "../tests/support/needs.ts";
import { plainClient } from "../tests/support/redis_client.ts";
import { HIDDEN_PATH, HIDDEN_QUERY, SECRET, startReceiver } from "../tests/support/receiver.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";

Deno.test("doctor reports what is wrong with the source, and nothing about runs if none exists", async () => {
  await using pipeline = await startPipeline({
    sftp: "none",
    wrap: () => () => new Response("", { status: 503 }),
  });
  const { code, stdout } = await pipeline.task("doctor");
  assert.equal(code, 1, stdout);
  const [line] = /^source .*$/m.exec(stdout) ?? [];
  assert.match(line!, /Cannot fetch a page of http:\S+: HTTP 503\. Check API_BASE_URL/);
  assert.doesNotMatch(line!, /skip=0|once|resume|state/);
  const { stdout: json } = await pipeline.task("doctor", "--json");
  const checks = json.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(checks.filter(({ ok }) => !ok).map(({ check }) => check), ["source"]);
});

needing("redis-server")(
  "doctor reports that Redis would evict messages or lose them at a restart",
  async () => {
    await using pipeline = await startPipeline({ sftp: "none", channel: "redis" });
    using operator = await plainClient(pipeline.redis!);
    await operator.configSet("maxmemory-policy", "volatile-lru");
    const { code, stdout } = await pipeline.task("doctor");
    assert.equal(code, 1, stdout);
    assert.match(stdout, /^channel +Redis deletes messages .*"volatile-lru"\. Set it to "noeviction"\.$/m);
    await operator.configSet("maxmemory-policy", "noeviction");
    await operator.configSet("appendonly", "no");
    const again = await pipeline.task("doctor");
    assert.match(again.stdout, /^channel +Redis loses messages .* appendonly is off\. Set it to yes\.$/m);
  },
);

Deno.test("doctor reports a damaged database, even if it still opens", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  const path = `${pipeline.folder}/database/data.db`;
  {
    await using store = await openSqlite(path, { pipelines: usersTables([]) });
    const run = { runId: newRunId(), pipeline: "users", at: new Date().toISOString() };
    await store.announceRun(run);
    await loadTexts(
      store,
      run.runId,
      "raw",
      Array.from({ length: 2_000 }, (_, id) => `{"id":${id},"x":"${"x".repeat(500)}"}`),
    );
    await store.tidy();
  }
  const database = /^database +(.*)$/m;
  assert.match((await pipeline.task("doctor")).stdout.match(database)![1]!, /sound, 1 runs/);
  {
    using file = await Deno.open(path, { write: true });
    const { size } = await file.stat();
    await file.seek(Math.floor(size / 2), Deno.SeekMode.Start); // within the records, however long the schema before them is
    await file.write(new Uint8Array(200_000).fill(0xff));
  }
  const { code, stdout } = await pipeline.task("doctor");
  assert.equal(code, 1);
  assert.match(stdout.match(database)![1]!, /is damaged: ./);
});

Deno.test("doctor reports a write-ahead log that is larger than a load leaves it", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  const path = `${pipeline.folder}/database/data.db`;
  await (await openSqlite(path, { pipelines: usersTables([]) }))[Symbol.asyncDispose]();
  await Deno.writeFile(`${path}-wal`, new Uint8Array());
  await Deno.truncate(`${path}-wal`, 1024 ** 3 + 1); // sparse: uses no space
  const { code, stdout } = await pipeline.task("doctor");
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^database +The write-ahead log of \S+ has \d/m);
});

Deno.test("doctor connects to the receivers of notifications, names only their hosts, and requires a valid signing secret", async () => {
  await using receiver = startReceiver();
  await using pipeline = await startPipeline({ sftp: "none" });
  const line = /^notifications +(.*)$/m;
  const look = async (env: Record<string, string>) => {
    Object.assign(pipeline.env, env);
    const { code, stdout } = await pipeline.task("doctor");
    assert.doesNotMatch(stdout, new RegExp(`${HIDDEN_PATH}|${HIDDEN_QUERY}|whsec_[A-Za-z0-9]`));
    return { code, stdout, text: line.exec(stdout)?.[1] };
  };
  assert.match((await look({})).text!, /not configured \(NOTIFY_URL\)/);
  const unsigned = await look({ NOTIFY_URL: receiver.url });
  assert.equal(unsigned.code, 2);
  assert.match(unsigned.stdout, /NOTIFY_SECRET is unset, but NOTIFY_URL is set: wanted whsec_/);
  const short = await look({ NOTIFY_SECRET: `whsec_${btoa("short")}` });
  assert.equal(short.code, 2);
  assert.match(short.stdout, /NOTIFY_SECRET is \(hidden\): wanted whsec_ and 24 to 64 bytes/);
  assert.equal(
    (await look({ NOTIFY_SECRET: SECRET })).text,
    `ok: ${receiver.host}; try it with deno task etl notify --test`,
  );
  assert.equal(receiver.received.length, 0, "doctor sends nothing");
  const bad = await look({ NOTIFY_URL: `https://user:pass@127.0.0.1/${HIDDEN_PATH}` });
  assert.match(
    bad.stdout,
    /NOTIFY_URL is \(hidden\): wanted http or https addresses without user and password/,
  );
  assert.equal(bad.stdout.split("wanted http or https").length, 2, "it is said once");
  const away = await look({ NOTIFY_URL: `http://127.0.0.1:1/${HIDDEN_PATH}` });
  assert.equal(away.code, 1);
  assert.match(away.text!, /^Cannot connect to 127\.0\.0\.1:1: .*Check NOTIFY_URL/);
});
