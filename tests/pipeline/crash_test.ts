import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Handler } from "../../local/source/server.ts";
import { Users } from "../../local/source/users.ts";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { type House, startHouse } from "../support/test_pipeline.ts";
import { watchFolder } from "../support/watch.ts";

const STAMP = "20261124_030007";
const RAW = `data/raw_users/records_${STAMP}.jsonl`;
const PROCESSED = `data/processed_users/etl_${STAMP}.jsonl`;
const DEAD = `data/dlq/invalid_users_${STAMP}.jsonl`;

/** The lines of a raw file of so many users, one in ten bad. */
function rawText(count: number): string {
  const users = new Users(0.1, 1);
  return Array.from({ length: count }, (_, i) => `${users.json(i)}\n`).join("");
}

/** Announces the raw file as the extractor would. */
async function announce(house: House): Promise<string> {
  const runId = newRunId();
  const phase1 = compose("channel:phase1_complete", `test/${runId}`, { run_id: runId, raw_file: RAW });
  await house.channel.publish(phase1);
  return runId;
}

async function oneOfEach(house: House, runId: string, [valid, invalid]: [number, number]): Promise<void> {
  assert.equal(house.runs().length, 1);
  assert.equal(house.runs()[0]!.run_id, runId);
  assert.deepEqual(house.tables(), {
    raw_users: valid + invalid,
    processed_users: valid,
    invalid_users: invalid,
  });
  const ids = house.sql("SELECT count(DISTINCT id) AS ids FROM processed_users")[0]!.ids;
  assert.equal(ids, valid);
  assert.deepEqual(await house.dataFiles(), [DEAD, PROCESSED, RAW].sort());
}

Deno.test("messages that come twice change nothing", async () => {
  await using house = await startHouse({ bad: 0.1 });
  const heard = new AbortController();
  const names = ["channel:phase1_complete", "channel:phase2_complete", "channel:deliver"];
  const views = await Promise.all(names.map((name) => house.channel.watch(name, heard.signal)));
  const firsts = views.map(firstOf);
  await house.start("extractor", "transformer", "saver");
  const before = await house.completed(await house.tell());
  const bodies = await Promise.all(firsts);
  heard.abort();
  const row = { ...before, status_at: "", finished_at: "", delivered_at: "" };
  const files = await house.remoteFiles();

  for (const [i, to] of names.entries()) await house.channel.publish({ to, id: "again", body: bodies[i]! });
  const deliveries = () =>
    house.events(before.run_id).filter((event) =>
      event.type === "phase_completed" && event.phase === "DELIVERING"
    ).length;
  // The first once, the second by the load that came twice and by the transform that came twice, and the order itself.
  await house.until("everything has been done again", () => deliveries() === 4);
  const after = await house.completed(before.run_id);
  assert.deepEqual({ ...after, status_at: "", finished_at: "", delivered_at: "" }, row);
  assert.equal(house.runs().length, 1);
  assert.deepEqual(house.tables(), { raw_users: 208, processed_users: 188, invalid_users: 20 });
  assert.deepEqual(await house.remoteFiles(), files);
});

async function firstOf(bodies: AsyncIterable<string>): Promise<string | undefined> {
  for await (const body of bodies) return body;
}

Deno.test("a transformer killed in mid-file leaves no file under a final name, and the next one does the run once", async () => {
  await using house = await startHouse({ sftp: "none" });
  const text = rawText(2_000);
  // A pipe in place of the raw file: the transformer stands in the middle of it for as long as nothing more comes.
  await Deno.mkdir(`${house.folder}/data/raw_users`, { recursive: true });
  await new Deno.Command("mkfifo", { args: [`${house.folder}/${RAW}`] }).output();
  await house.start("transformer", "saver");
  const runId = await announce(house);
  const pipe = await Deno.open(`${house.folder}/${RAW}`, { write: true });
  const half = new TextEncoder().encode(text.slice(0, text.length / 2));
  for (let at = 0; at < half.length;) at += await pipe.write(half.subarray(at));
  await house.until(
    "half a file",
    async () =>
      (await house.partFiles()).includes(`${PROCESSED}.part`) && await size(house, `${PROCESSED}.part`) > 0,
  );
  await house.kill("transformer");
  pipe.close();
  const left = await house.dataFiles();
  assert.ok(
    left.includes(`${PROCESSED}.part`) && !left.includes(PROCESSED) && !left.includes(DEAD),
    `${left}`,
  );
  assert.deepEqual(house.tables(), { raw_users: 0, processed_users: 0, invalid_users: 0 });

  await Deno.remove(`${house.folder}/${RAW}`);
  await Deno.writeTextFile(`${house.folder}/${RAW}`, text);
  await house.start("transformer");
  await house.completed(runId);
  await oneOfEach(house, runId, [1_800, 200]);
});

async function size(house: House, path: string): Promise<number> {
  return (await Deno.stat(`${house.folder}/${path}`)).size;
}

/** Keeps the saver from acknowledging anything. */
const STOPS = {
  embedded(house: House): () => void {
    const queue = new DatabaseSync(`${house.folder}/database/queue.db`, { timeout: 5_000 });
    queue.exec("BEGIN IMMEDIATE");
    return () => {
      queue.exec("ROLLBACK");
      queue.close();
    };
  },
  redis(house: House): () => void {
    house.redis!.freeze();
    return () => house.redis!.thaw();
  },
};

for (const channel of ["embedded", "redis"] as const) {
  Deno.test(`a saver killed between load and acknowledgement: each row is there once (${channel})`, async () => {
    await using house = await startHouse({ channel, sftp: "none" });
    const users = channel === "redis" ? 15_000 : 5_000; // a locked queue file slows the saver down, a frozen server doesn't
    await Deno.mkdir(`${house.folder}/data/raw_users`, { recursive: true });
    await Deno.writeTextFile(`${house.folder}/${RAW}`, rawText(users));
    await house.start("transformer", "saver");
    const heard = new AbortController();
    const events = await house.channel.watch("channel:run_events", heard.signal);
    const runId = await announce(house);
    for await (const body of events) {
      const event = JSON.parse(body);
      if (event.type === "phase_started" && event.phase === "LOADING") break;
    }
    const letGo = STOPS[channel](house);
    await house.until("the load", () => house.runs()[0]?.loaded_at != null);
    await house.kill("saver");
    letGo();
    heard.abort();
    assert.notEqual(house.runs()[0]!.status, "COMPLETED");

    await house.start("saver");
    await house.completed(runId);
    await oneOfEach(house, runId, [users * 0.9, users * 0.1]);
    const again = house.events(runId).find((event) =>
      event.type === "phase_completed" && event.phase === "LOADING"
    );
    assert.equal(
      again?.type === "phase_completed" && again.detail.skipped,
      3,
      "the second try loaded nothing",
    );
    const starts = house.events(runId).filter((event) =>
      event.type === "phase_started" && event.phase === "LOADING"
    );
    assert.deepEqual(starts.map((event) => event.type === "phase_started" && event.attempt), [1, 2]);
  });
}

Deno.test("an extractor killed between two pages goes on at the second, in the same run and file", async () => {
  const asked: string[] = [];
  let silent = true;
  const wrap = (answer: Handler): Handler => (request) => {
    const skip = new URL(request.url).searchParams.get("skip")!;
    asked.push(skip);
    return silent && skip === "100" ? new Promise<Response>(() => {}) : answer(request);
  };
  await using house = await startHouse({ wrap, env: { BATCH_SIZE: "100" } });
  await house.start("extractor", "transformer", "saver");
  const runId = await house.tell();
  await house.until(
    "the first page is noted",
    async () => asked.includes("100") && await noted(house) === 100,
  );
  const [part] = await house.partFiles();
  assert.match(part!, /^data\/raw_users\/records_\d{8}_\d{6}\.jsonl\.part$/);
  await house.kill("extractor");
  assert.deepEqual(await house.dataFiles(), [part]);

  silent = false;
  await house.start("extractor");
  const run = await house.completed(runId);
  assert.equal(`${run.raw_file}.part`, part);
  assert.deepEqual(asked, ["0", "100", "100", "200"]);
  assert.equal(house.runs().length, 1);
  assert.deepEqual(house.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
  assert.deepEqual(await house.partFiles(), []);
});

/** How far the extractor's checkpoint is. */
async function noted(house: House): Promise<number | undefined> {
  const text = await Deno.readTextFile(`${house.folder}/data/state/extractor_state.json`).catch(() => "{}");
  return JSON.parse(text).current?.last_skip;
}

for (const sftp of ["openssh", "local"] as const) {
  Deno.test(`a saver killed while it sends a file ahead: each file is on the server once (${sftp})`, async () => {
    await using house = await startHouse({ sftp, users: 30_000, bad: 0.1, env: { BATCH_SIZE: "1000" } });
    await Deno.mkdir(house.site!.disk, { recursive: true });
    using folder = watchFolder(house.site!.disk);
    await house.start("saver");
    await house.start("extractor");
    const runId = await house.tell();
    await folder.created(/^\.records_.*\.part$/);
    await house.kill("saver");
    assert.ok((await house.remoteFiles()).every((name) => name.endsWith(".part")), "no file has its name");

    await house.start("transformer", "saver");
    const run = await house.completed(runId);
    assert.deepEqual([run.valid_count, run.invalid_count], [27_000, 3_000]);
    const local = [run.raw_file, run.processed_file, run.dlq_file].map((path) => path!.split("/").at(-1)!);
    const remote = await house.remoteFiles();
    assert.deepEqual(remote.filter((name) => !name.startsWith("manifest_")), local.sort());
    assert.equal(remote.length, 4);
    for (const path of [run.raw_file!, run.processed_file!, run.dlq_file!]) {
      const there = await Deno.readFile(`${house.site!.disk}/${path.split("/").at(-1)}`);
      assert.deepEqual(there, await Deno.readFile(`${house.folder}/${path}`), path);
    }
  });
}
