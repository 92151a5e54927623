import assert from "node:assert/strict";
import { startPipeline } from "../support/test_pipeline.ts";

Deno.test("an unusable state folder fails the run with the reason, and nothing waits for it", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  await Deno.mkdir(`${pipeline.folder}/data`);
  await Deno.writeTextFile(`${pipeline.folder}/data/state`, "a file, no folder");
  const { code, stderr } = await pipeline.task("run");
  assert.equal(code, 1, stderr);
  assert.match(stderr, /The run failed: .*data\/state/);
  await pipeline.start("saver");
  const run = await pipeline.status("FAILED");
  assert.match(run.failure_reason!, /data\/state/);
});

Deno.test("with RUN_ON_START=if-none and an unusable state folder the extractor warns and serves", async () => {
  await using pipeline = await startPipeline({ sftp: "none", env: { RUN_ON_START: "if-none" } });
  await Deno.mkdir(`${pipeline.folder}/data`);
  await Deno.writeTextFile(`${pipeline.folder}/data/state`, "a file, no folder");
  await pipeline.start("extractor", "saver");
  await pipeline.logged(/cannot tell whether a run has completed.*data\/state/, "extractor");
  const run = await pipeline.status("FAILED", await pipeline.tell());
  assert.match(run.failure_reason!, /data\/state/);
  await Deno.remove(`${pipeline.folder}/data/state`);
  await pipeline.start("transformer");
  await pipeline.completed(await pipeline.tell());
});

Deno.test("a run without progress is waited for no longer than --patience, and completes later", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  await pipeline.channel.mailbox("channel:phase1_complete").pause();
  const { code, stderr } = await pipeline.task("run", "--patience", "2");
  assert.equal(code, 1, stderr);
  assert.match(stderr, /Cannot wait for run [0-9a-f-]+ any longer: nothing has happened to it for 2 s/);
  await pipeline.channel.mailbox("channel:phase1_complete").resume();
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed();
});
