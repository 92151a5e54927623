/**
 * A disk that is too small for a load, with the queue and the database on it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { statfs } from "node:fs/promises";
import { type SmallDisk, smallDisk } from "../support/tmpfs.ts";
import { startPipeline } from "../support/test_pipeline.ts";

const MB = 1_000_000;

Deno.test("a load that doesn't fit frees its space, waits, and completes once the disk is larger", async () => {
  let disk: SmallDisk | undefined;
  await using pipeline = await startPipeline({
    users: 4_000,
    sftp: "none",
    furnish: async (folder, owned) => {
      disk = await smallDisk(`${folder}/database`, 8 * MB);
      if (disk !== undefined) owned.use(disk);
    },
  });
  if (disk === undefined) return; // this process can't mount
  const free = async () => {
    const { bavail, bsize } = await statfs(disk!.path);
    return bavail * bsize;
  };
  await pipeline.start("extractor", "transformer", "saver");
  const before = await free();
  const runId = await pipeline.tell();
  const { text } = await pipeline.logged(
    /Make [\d.]+ MB of room; it will be retried for a week/,
    "saver",
  );
  assert.match(text, /needs [\d.]+ MB on the disk of/);
  assert.ok(await free() > before - 2 * MB, "nothing of the load holds on to the disk");
  assert.equal(pipeline.tables().raw_users, 0);

  await disk.resize(200 * MB);
  const run = await pipeline.completed(runId);
  assert.deepEqual([run.valid_count, pipeline.tables().processed_users], [4_000, 4_000]);
});

Deno.test("a raw file that doesn't fit waits for room without using up an attempt, though queue and database are on its disk", async () => {
  let disk: SmallDisk | undefined;
  await using pipeline = await startPipeline({
    users: 12_000,
    sftp: "none",
    furnish: async (folder, owned) => {
      disk = await smallDisk(folder, 12 * MB);
      if (disk !== undefined) owned.use(disk);
    },
  });
  if (disk === undefined) return; // this process can't mount
  await pipeline.start("extractor", "transformer", "saver");
  const runId = await pipeline.tell();
  const tries = () =>
    pipeline.logs().filter(({ part, text }) => part === "extractor" && /message not done yet/.test(text));
  await pipeline.until("two tries that met the end of the disk", () => tries().length >= 2);
  for (const { text } of tries()) {
    assert.match(text, /Make [\d.]+ MB of room; it will be retried for a week/);
    assert.match(text, /"attempt":1/);
  }

  await disk.resize(400 * MB);
  const run = await pipeline.completed(runId);
  assert.deepEqual([run.valid_count, pipeline.tables().processed_users], [12_000, 12_000]);
});
