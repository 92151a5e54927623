import assert from "node:assert/strict";
import { Users } from "../../local/source/users.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";
import { Original, pythonJson, type Transformed } from "../support/original.ts";
import { needing } from "../support/needs.ts";

const test = needing("redis-server");

const RAW = "data/raw_users/records_20261124_030007.jsonl";

/** Writes a file as the original does: under its final name from the start. */
async function write(pipeline: TestPipeline, path: string, records: unknown[]): Promise<void> {
  await Deno.mkdir(`${pipeline.folder}/${path}/..`, { recursive: true });
  await Deno.writeTextFile(
    `${pipeline.folder}/${path}`,
    records.map((record) => `${pythonJson(record)}\n`).join(""),
  );
}

test("the original's extractor can replace ours", async () => {
  await using pipeline = await startPipeline({ channel: "redis" });
  await pipeline.start("transformer", "saver");
  await using original = await Original.at(pipeline.redis!.url);
  const users = new Users(0.05, 1);
  await write(pipeline, RAW, Array.from({ length: 200 }, (_, i) => JSON.parse(users.json(i))));
  await original.publish("channel:phase1_complete", { raw_file: RAW });

  const run = await pipeline.completed();
  assert.deepEqual([run.raw_file, run.valid_count, run.invalid_count], [RAW, 190, 10]);
  assert.deepEqual(pipeline.tables(), { raw_users: 200, processed_users: 190, invalid_users: 10 });
  assert.deepEqual(await pipeline.remoteFiles(), [
    "etl_20261124_030007.jsonl",
    "invalid_users_20261124_030007.jsonl",
    "manifest_20261124_030007.json",
    "records_20261124_030007.jsonl",
  ]);
});

test("the original's transformer can replace ours, and the run stays one run", async () => {
  await using pipeline = await startPipeline({ channel: "redis" });
  await using original = await Original.at(pipeline.redis!.url);
  const phase1 = await original.subscribed("channel:phase1_complete");
  await pipeline.start("extractor", "saver");
  const runId = await pipeline.tell();

  const { raw_file } = await phase1.first as { raw_file: string };
  const stamp = /records_(\d{8}_\d{6})\.jsonl$/.exec(raw_file)![1];
  const records = (await pipeline.lines(raw_file)).map((line) => JSON.parse(line));
  const message: Transformed = {
    raw_file,
    processed_file: `data/processed_users/etl_${stamp}.jsonl`,
    dlq_file: `data/dlq/invalid_users_${stamp}.jsonl`,
    valid_count: 206,
    invalid_count: 2,
  };
  await write(
    pipeline,
    message.processed_file,
    records.slice(2).map((user) => ({ ...user, department_code: "ENG" })),
  );
  await write(
    pipeline,
    message.dlq_file,
    records.slice(0, 2).map((user) => ({ ...user, error_reason: "Invalid age" })),
  );
  await original.publish("channel:phase2_complete", message);

  const run = await pipeline.completed(runId);
  assert.deepEqual([run.raw_file, run.valid_count, run.invalid_count], [raw_file, 206, 2]);
  assert.equal(pipeline.runs().length, 1);
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 206, invalid_users: 2 });
  assert.deepEqual((await pipeline.remoteFiles()).length, 4);
});

test("the original's saver can replace ours", async () => {
  await using pipeline = await startPipeline({ channel: "redis", bad: 0.05 });
  await using original = await Original.at(pipeline.redis!.url);
  const phase2 = await original.subscribed("channel:phase2_complete");
  await pipeline.start("extractor", "transformer");
  await pipeline.tell();

  const message = await phase2.first as unknown as Transformed;
  const rows = async (path: string) => (await pipeline.lines(path)).map((line) => JSON.parse(line));
  assert.deepEqual([message.valid_count, message.invalid_count], [198, 10]);
  assert.equal((await rows(message.raw_file)).length, 208);
  assert.ok((await rows(message.processed_file)).every((user) => user.department_code !== undefined));
  assert.ok((await rows(message.dlq_file)).every((user) => typeof user.error_reason === "string"));
  assert.deepEqual(
    [(await rows(message.processed_file)).length, (await rows(message.dlq_file)).length],
    [198, 10],
  );
});

test("a message that the original publishes twice is one run", async () => {
  await using pipeline = await startPipeline({ channel: "redis", sftp: "none" });
  await pipeline.start("transformer", "saver");
  await using original = await Original.at(pipeline.redis!.url);
  const users = new Users(0, 1);
  await write(pipeline, RAW, Array.from({ length: 100 }, (_, i) => JSON.parse(users.json(i))));
  await original.publish("channel:phase1_complete", { raw_file: RAW });
  const first = await pipeline.completed();
  await original.publish("channel:phase1_complete", { raw_file: RAW });
  await original.publish("channel:phase1_complete", { raw_file: RAW, sent: "again" });
  const loads = () =>
    pipeline.events(first.run_id).filter((event) =>
      event.type === "phase_completed" && event.phase === "LOADING"
    );
  await pipeline.until("the second load", () => loads().length === 2);
  assert.equal(pipeline.runs().length, 1);
  assert.deepEqual(pipeline.tables(), { raw_users: 100, processed_users: 100, invalid_users: 0 });
});
