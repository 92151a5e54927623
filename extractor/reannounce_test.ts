import assert from "node:assert/strict";
import { basename } from "node:path";
import { compose } from "../shared/actor/message.ts";
import { openTemporaryChannel } from "../tests/support/temporary_channel.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { LocalDocuments } from "../shared/files/documents.ts";
import { Checkpoint } from "./checkpoint.ts";
import { recent, runReannounce } from "./reannounce.ts";
import { request, START, startPipeline, type TestPipeline } from "../tests/support/extraction.ts";

const MINUTE = 60_000;

/** Returns the checkpoint with file names relative to a data directory named `data`. */
async function checkpointOf(pipeline: TestPipeline): Promise<Checkpoint> {
  const text = await Deno.readTextFile(pipeline.state);
  const relative = `${pipeline.state}.relative`;
  await Deno.writeTextFile(relative, text.replaceAll(pipeline.data, "data"));
  return await Checkpoint.open(
    new LocalDocuments(`${pipeline.data}/state`),
    basename(relative),
    pipeline.source,
  );
}

Deno.test("a channel that lost the announcement of a raw file gets it again; one that has it stays unchanged", async () => {
  await using pipeline = await startPipeline({ users: 3 });
  const requested = request();
  const { outputs } = await pipeline.handle(requested);
  const [output] = outputs;
  assert.equal(output?.to, "channel:phase1_complete");
  const checkpoint = () => checkpointOf(pipeline);
  const [again, ...others] = recent(await checkpoint(), START + MINUTE);
  assert.deepEqual(others, []);
  const fields = { ...output.fields, raw_file: output.fields.raw_file.replace(pipeline.data, "data") };
  const announced = compose(output.to, output.name, fields, { id: requested.id! });
  const content = ({ body }: { body: string }) => ({ ...JSON.parse(body), published_at: undefined });
  assert.deepEqual(
    { ...again!, body: content(again!) },
    { ...announced, body: content(announced) },
  );

  await using channel = await openTemporaryChannel();
  const mailbox = channel.mailbox("channel:phase1_complete");
  const stop = new AbortController();
  const open = () => {
    stop.abort();
    return checkpoint();
  };
  const reannouncing = runReannounce(
    {
      channel,
      state: new LocalDocuments(`${pipeline.data}/none`),
      files: pipeline.files,
      openings: [open],
      now: () => START + MINUTE,
    },
    stop.signal,
  );
  await reannouncing;
  assert.equal((await mailbox.state()).depth, 1);
  await channel.publish(announced);
  assert.equal((await mailbox.state()).depth, 1);
});

Deno.test("an unfinished run is requested again under the id of its last request, and is resumed where it stopped", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !isFixed ? faults.status(500) : undefined),
  });
  const requested = request();
  await assert.rejects(pipeline.handle(requested), PermanentError);
  const [again, ...others] = recent(await checkpointOf(pipeline), START + MINUTE);
  assert.deepEqual(others, []);
  assert.deepEqual([again!.to, again!.id], ["channel:start_run", requested.id]);
  isFixed = true;
  const { about, message } = await pipeline.handle(request(JSON.parse(again!.body)));
  assert.deepEqual([about, message.record_count], [requested.run_id, 208]);
});

Deno.test("runs are published again for a day, but not while they are being settled", async () => {
  await using pipeline = await startPipeline({ users: 3 });
  await pipeline.handle(request());
  const checkpoint = await checkpointOf(pipeline);
  assert.equal(recent(checkpoint, START + 1_000).length, 0);
  assert.equal(recent(checkpoint, START + 1_439 * MINUTE).length, 1);
  assert.equal(recent(checkpoint, START + 1_441 * MINUTE).length, 0);
});
