import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Handler } from "../../local/source/server.ts";
import { Users } from "../../local/source/users.ts";
import { compose } from "../../shared/actor/message.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { plainClient } from "../support/redis_client.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";
import { watchFolder } from "../support/watch.ts";
import { channelBeside, type Engine, onEachEngine } from "../support/engines.ts";
import { needing } from "../support/needs.ts";

const opensshTest = needing("sshd");

const STAMP = "20261124_030007";
const RAW = `data/raw_users/records_${STAMP}.jsonl`;
const PROCESSED = `data/processed_users/etl_${STAMP}.jsonl`;
const DEAD = `data/dlq/invalid_users_${STAMP}.jsonl`;

/** Returns the lines of a raw file of users, one in ten invalid. */
function rawText(count: number): string {
  const users = new Users(0.1, 1);
  return Array.from({ length: count }, (_, i) => `${users.json(i)}\n`).join("");
}

/** Announces the raw file as the extractor would. */
async function announce(pipeline: TestPipeline): Promise<string> {
  const runId = newRunId();
  const phase1 = compose("channel:phase1_complete", `test/${runId}`, { run_id: runId, raw_file: RAW });
  await pipeline.channel.publish(phase1);
  return runId;
}

async function oneOfEach(
  pipeline: TestPipeline,
  runId: string,
  [valid, invalid]: [number, number],
): Promise<void> {
  assert.equal(pipeline.runs().length, 1);
  assert.equal(pipeline.runs()[0]!.run_id, runId);
  assert.deepEqual(pipeline.tables(), {
    raw_users: valid + invalid,
    processed_users: valid,
    invalid_users: invalid,
  });
  const ids = pipeline.sql("SELECT count(DISTINCT id) AS ids FROM processed_users")[0]!.ids;
  assert.equal(ids, valid);
  assert.deepEqual(await pipeline.dataFiles(), [DEAD, PROCESSED, RAW].sort());
}

onEachEngine("duplicate messages change nothing", async (engine) => {
  await using pipeline = await startPipeline({ engine, bad: 0.1 });
  const watching = new AbortController();
  const names = ["channel:phase1_complete", "channel:phase2_complete", "channel:deliver"];
  const views = await Promise.all(names.map((name) => pipeline.channel.watch(name, watching.signal)));
  const firsts = views.map(firstOf);
  await pipeline.start("extractor", "transformer", "saver");
  const before = await pipeline.completed(await pipeline.tell());
  const bodies = await Promise.all(firsts);
  watching.abort();
  const row = { ...before, status_at: "", finished_at: "", delivered_at: "" };
  const files = await pipeline.remoteFiles();

  for (const [i, to] of names.entries()) {
    await pipeline.channel.publish({ to, id: "again", body: bodies[i]! });
  }
  const deliveries = () =>
    pipeline.events(before.run_id).filter((event) =>
      event.type === "phase_completed" && event.phase === "DELIVERING"
    ).length;
  // One for the first delivery, two for the repeated load and the repeated transform, and one for the
  // repeated order.
  await pipeline.until("everything has been done again", () => deliveries() === 4);
  const after = await pipeline.completed(before.run_id);
  assert.deepEqual({ ...after, status_at: "", finished_at: "", delivered_at: "" }, row);
  assert.equal(pipeline.runs().length, 1);
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 188, invalid_users: 20 });
  assert.deepEqual(await pipeline.remoteFiles(), files);
});

async function firstOf(bodies: AsyncIterable<string>): Promise<string | undefined> {
  for await (const body of bodies) return body;
}

Deno.test("a transformer killed midway through a file leaves no file under a final name, and the next one does the run once", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  const text = rawText(2_000);
  // A pipe in place of the raw file makes the transformer wait in the middle of it.
  await Deno.mkdir(`${pipeline.folder}/data/raw_users`, { recursive: true });
  await new Deno.Command("mkfifo", { args: [`${pipeline.folder}/${RAW}`] }).output();
  await pipeline.start("transformer", "saver");
  const runId = await announce(pipeline);
  const pipe = await Deno.open(`${pipeline.folder}/${RAW}`, { write: true });
  const half = new TextEncoder().encode(text.slice(0, text.length / 2));
  for (let at = 0; at < half.length;) at += await pipe.write(half.subarray(at));
  await pipeline.until(
    "half a file",
    async () =>
      (await pipeline.partFiles()).includes(`${PROCESSED}.part`) &&
      await size(pipeline, `${PROCESSED}.part`) > 0,
  );
  await pipeline.kill("transformer");
  pipe.close();
  const left = await pipeline.dataFiles();
  assert.ok(
    left.includes(`${PROCESSED}.part`) && !left.includes(PROCESSED) && !left.includes(DEAD),
    `${left}`,
  );
  assert.deepEqual(pipeline.tables(), { raw_users: 0, processed_users: 0, invalid_users: 0 });

  await Deno.remove(`${pipeline.folder}/${RAW}`);
  await Deno.writeTextFile(`${pipeline.folder}/${RAW}`, text);
  await pipeline.start("transformer");
  await pipeline.completed(runId);
  await oneOfEach(pipeline, runId, [1_800, 200]);
});

async function size(pipeline: TestPipeline, path: string): Promise<number> {
  return (await Deno.stat(`${pipeline.folder}/${path}`)).size;
}

/** Keeps the saver from acknowledging messages. */
const STOPS = {
  embedded(pipeline: TestPipeline): Promise<() => void> {
    const queue = new DatabaseSync(`${pipeline.folder}/database/queue.db`, { timeout: 5_000 });
    queue.exec("BEGIN IMMEDIATE");
    return Promise.resolve(() => {
      queue.exec("ROLLBACK");
      queue.close();
    });
  },
  // A frozen server would execute the commands in its socket once it runs again; a paused one drops those of
  // a closed connection.
  async redis(pipeline: TestPipeline): Promise<() => Promise<void>> {
    const operator = await plainClient(pipeline.redis!);
    await operator.sendCommand(["CLIENT", "PAUSE", "60000", "WRITE"]);
    return async () => {
      // when the server answers the second ping, it has noticed the connections that ended before the first
      for (let i = 0; i < 2; i++) await operator.ping();
      await operator.sendCommand(["CLIENT", "UNPAUSE"]);
      operator.destroy();
    };
  },
};

/** Kills a saver between load and acknowledgement. */
async function killedBeforeAcknowledging(channel: "embedded" | "redis", engine: Engine): Promise<void> {
  await using pipeline = await startPipeline({ engine, channel, sftp: "none" });
  const users = channel === "redis" ? 15_000 : 5_000; // a locked queue file slows the saver down, a frozen server doesn't
  await Deno.mkdir(`${pipeline.folder}/data/raw_users`, { recursive: true });
  await Deno.writeTextFile(`${pipeline.folder}/${RAW}`, rawText(users));
  await pipeline.start("transformer", "saver");
  const watching = new AbortController();
  const events = await pipeline.channel.watch("channel:run_events", watching.signal);
  const runId = await announce(pipeline);
  for await (const body of events) {
    const event = JSON.parse(body);
    if (event.type === "phase_started" && event.phase === "LOADING") break;
  }
  const letGo = await STOPS[channel](pipeline);
  await pipeline.until("the load", () => pipeline.runs()[0]?.loaded_at != null);
  await pipeline.kill("saver");
  await letGo();
  watching.abort();
  assert.notEqual(pipeline.runs()[0]!.status, "COMPLETED");

  await pipeline.start("saver");
  await pipeline.completed(runId);
  await oneOfEach(pipeline, runId, [users * 0.9, users * 0.1]);
  // The claim of the killed saver is recorded only after its lease has expired, perhaps after the run's end.
  const loading = await pipeline.until("the events of both tries", () => {
    const events = pipeline.events(runId).filter((event) => "phase" in event && event.phase === "LOADING");
    const count = (wanted: RunEvent["type"]) => events.filter(({ type }) => type === wanted).length;
    return count("phase_started") >= 2 && count("phase_completed") >= 1 && events;
  });
  const again = loading.find((event) => event.type === "phase_completed");
  assert.equal(
    again?.type === "phase_completed" && again.detail.skipped,
    3,
    "the second try loaded nothing",
  );
  const starts = loading.flatMap((event) => event.type === "phase_started" ? [event.attempt] : []);
  assert.deepEqual(starts, [1, 2]);
}

onEachEngine(
  "a saver killed between load and acknowledgement: each row is stored once",
  (engine) => killedBeforeAcknowledging(channelBeside(engine), engine),
  "redis-server",
);

Deno.test("an extractor killed between two pages resumes at the second, in the same run and file", async () => {
  const requested: string[] = [];
  let silent = true;
  const wrap = (answer: Handler): Handler => (request) => {
    const skip = new URL(request.url).searchParams.get("skip")!;
    requested.push(skip);
    return silent && skip === "100" ? new Promise<Response>(() => {}) : answer(request);
  };
  await using pipeline = await startPipeline({ wrap, env: { BATCH_SIZE: "100" } });
  await pipeline.start("extractor", "transformer", "saver");
  const runId = await pipeline.tell();
  await pipeline.until(
    "the first page is noted",
    async () => requested.includes("100") && await noted(pipeline) === 100,
  );
  const [part] = await pipeline.partFiles();
  assert.match(part!, /^data\/raw_users\/records_\d{8}_\d{6}\.jsonl\.part$/);
  await pipeline.kill("extractor");
  assert.deepEqual(await pipeline.dataFiles(), [part]);

  silent = false;
  await pipeline.start("extractor");
  const run = await pipeline.completed(runId);
  assert.equal(`${run.raw_file}.part`, part);
  assert.deepEqual(requested, ["0", "100", "100", "200"]);
  assert.equal(pipeline.runs().length, 1);
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
  assert.deepEqual(await pipeline.partFiles(), []);
});

/** Returns the position in the extractor's checkpoint. */
async function noted(pipeline: TestPipeline): Promise<number | undefined> {
  const text = await Deno.readTextFile(`${pipeline.folder}/data/state/extractor_state.json`).catch(() =>
    "{}"
  );
  return JSON.parse(text).current?.last_skip;
}

for (const sftp of ["openssh", "local"] as const) {
  (sftp === "openssh" ? opensshTest : Deno.test)(
    `a saver killed while it sends a file ahead: each file is on the server once (${sftp})`,
    async () => {
      await using pipeline = await startPipeline({
        sftp,
        users: 30_000,
        bad: 0.1,
        env: { BATCH_SIZE: "1000" },
      });
      await Deno.mkdir(pipeline.site!.disk, { recursive: true });
      using folder = watchFolder(pipeline.site!.disk);
      await pipeline.start("saver");
      await pipeline.start("extractor");
      const runId = await pipeline.tell();
      await folder.created(/^\.records_.*\.part$/);
      await pipeline.kill("saver");
      assert.ok(
        (await pipeline.remoteFiles()).every((name) => name.endsWith(".part")),
        "no file has its name",
      );

      await pipeline.start("transformer", "saver");
      const run = await pipeline.completed(runId);
      assert.deepEqual([run.valid_count, run.invalid_count], [27_000, 3_000]);
      const local = [run.raw_file, run.processed_file, run.dlq_file].map((path) => path!.split("/").at(-1)!);
      const remote = await pipeline.remoteFiles();
      assert.deepEqual(remote.filter((name) => !name.startsWith("manifest_")), local.sort());
      assert.equal(remote.length, 4);
      for (const path of [run.raw_file!, run.processed_file!, run.dlq_file!]) {
        const there = await Deno.readFile(`${pipeline.site!.disk}/${path.split("/").at(-1)}`);
        assert.deepEqual(there, await Deno.readFile(`${pipeline.folder}/${path}`), path);
      }
    },
  );
}
