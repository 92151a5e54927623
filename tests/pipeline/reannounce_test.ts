import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { programPath } from "../../cli/services.ts";
import { startPipeline } from "../support/test_pipeline.ts";

Deno.test("a run that is loaded stays as it is when its raw file is announced again after departments.csv changed", async () => {
  await using pipeline = await startPipeline({ users: 100, env: { LOOKUP_FILE: "departments.csv" } });
  const lookup = `${pipeline.folder}/departments.csv`;
  const text = await Deno.readTextFile(programPath("pipelines/departments.csv"));
  await Deno.writeTextFile(lookup, text);
  await pipeline.start("extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());
  const { run_id, raw_file, processed_file, dlq_file } = run;
  const contents = () =>
    Promise.all([processed_file!, dlq_file!].map((file) => Deno.readTextFile(`${pipeline.folder}/${file}`)));
  const before = await contents();

  await pipeline.stop("transformer");
  await Deno.writeTextFile(lookup, text.replaceAll("ENG", "NGN"));
  await pipeline.start("transformer");
  await pipeline.channel.publish(
    compose("channel:phase1_complete", "announced-again", { run_id, raw_file: raw_file! }),
  );
  await pipeline.said(/with another lookup file or other rules; the files stay as they are/, "transformer");
  await pipeline.until("the second delivery", () => {
    const ends = pipeline.events(run_id).filter(({ type }) =>
      type === "phase_completed" || type === "run_failed"
    );
    assert.ok(!ends.some(({ type }) => type === "run_failed"), JSON.stringify(ends.at(-1)));
    return ends.length === 7; // one extraction, and twice what follows
  });
  assert.deepEqual(await contents(), before);
  const after = pipeline.runs()[0]!;
  assert.deepEqual([after.status, after.delivery_state, after.loaded_at], [
    "COMPLETED",
    "DELIVERED",
    run.loaded_at,
  ]);
});
