import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { commandOf, programPath, type Service } from "../../cli/services.ts";
import { onEachEngine } from "../support/engines.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

Deno.test("a loaded run stays unchanged when its raw file is announced again after departments.csv changed", async () => {
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
  await pipeline.logged(/with another lookup file or other rules; the files stay as they are/, "transformer");
  await pipeline.until("the second delivery", () => {
    const ends = pipeline.events(run_id).filter(({ type }) =>
      type === "phase_completed" || type === "run_failed"
    );
    assert.ok(!ends.some(({ type }) => type === "run_failed"), JSON.stringify(ends.at(-1)));
    return ends.length === 7; // one extraction, and twice the phases after it
  });
  assert.deepEqual(await contents(), before);
  const after = pipeline.runs()[0]!;
  assert.deepEqual([after.status, after.delivery_state, after.loaded_at], [
    "COMPLETED",
    "DELIVERED",
    run.loaded_at,
  ]);
});

Deno.test("raw files that were never transformed survive the loss of the queue, however old they are, corrections too", async () => {
  await using pipeline = await startPipeline({ users: 100, bad: 0.2, sftp: "none" });
  await pipeline.start("extractor", "transformer", "saver");
  const first = await pipeline.completed(await pipeline.tell());
  await pipeline.stop("transformer");
  const plain = await pipeline.tell();
  const correction = newRunId();
  const patches = [{
    line: 2,
    text: await Deno.readTextFile(`${pipeline.folder}/${first.raw_file}`).then((text) =>
      text.split("\n")[0]!
    ),
  }];
  await pipeline.channel.publish(
    compose("channel:start_run", correction, {
      run_id: correction,
      requested_by: "test",
      correction: { of: first.run_id, dlq_file: first.dlq_file!, patches },
    }),
  );
  await pipeline.until(
    "both raw files",
    () =>
      [plain, correction].every((run) =>
        pipeline.events(run).some((event) => event.type === "phase_completed" && event.phase === "EXTRACTING")
      ),
  );
  for (const service of ["extractor", "saver"]) await pipeline.stop(service);

  // as if the runs were ten days old, with a hundred runs since
  const state = `${pipeline.folder}/data/state`;
  await Deno.writeTextFile(
    `${state}/extractor_state.json`,
    JSON.stringify({
      ...JSON.parse(await Deno.readTextFile(`${state}/extractor_state.json`)),
      completed: [],
    }),
  );
  for await (const { name } of Deno.readDir(`${state}/untransformed`)) {
    const run = JSON.parse(await Deno.readTextFile(`${state}/untransformed/${name}`));
    const finished_at = new Date(Date.now() - 10 * 24 * 3_600_000).toISOString();
    await Deno.writeTextFile(`${state}/untransformed/${name}`, JSON.stringify({ ...run, finished_at }));
  }
  Object.assign(pipeline.env, { QUEUE_PATH: "database/new.db" });
  await pipeline.start("extractor", "transformer", "saver");
  for (const run of [plain, correction]) await pipeline.completed(run);
  assert.equal(pipeline.runs().find((run) => run.run_id === correction)!.correction_of, first.run_id);
  assert.equal(pipeline.sql("SELECT * FROM record_corrections").length, 1);
});

async function startInTenDays(pipeline: TestPipeline, service: Service): Promise<void> {
  const [run, ...args] = commandOf(service, pipeline.env, pipeline.pipelines);
  const clock = new URL("../support/clock_ahead.ts?hours=240", import.meta.url).href;
  await pipeline.spawn(service, [run!, `--preload=${clock}`, ...args]).line(/"message":"ready"/);
}

/** Transforms a run and its correction while no saver runs, then removes the queue. */
async function transformAndLoseTheQueue(
  pipeline: TestPipeline,
): Promise<[plain: string, correction: string]> {
  await pipeline.start("extractor", "transformer", "saver");
  const first = await pipeline.completed(await pipeline.tell());
  await pipeline.stop("saver");
  const transformed = async (count: number) => {
    await pipeline.until(
      "the transforms",
      async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === count,
    );
  };
  const plain = await pipeline.tell();
  await transformed(1);
  const correction = newRunId();
  const [text] = await pipeline.lines(first.raw_file!);
  await pipeline.channel.publish(
    compose("channel:start_run", correction, {
      run_id: correction,
      requested_by: "test",
      correction: { of: first.run_id, dlq_file: first.dlq_file!, patches: [{ line: 2, text: text! }] },
    }),
  );
  await transformed(2);
  for (const service of ["extractor", "transformer"]) await pipeline.stop(service);
  Object.assign(pipeline.env, { QUEUE_PATH: "database/new.db" });
  return [plain, correction];
}

onEachEngine(
  "transformed files that were never loaded survive the loss of the queue, however old they are, corrections too",
  async (engine) => {
    await using pipeline = await startPipeline({ engine, users: 100, bad: 0.2, sftp: "none" });
    const [plain, correction] = await transformAndLoseTheQueue(pipeline);
    for (const service of ["extractor", "transformer", "saver"] as const) {
      await startInTenDays(pipeline, service);
    }
    for (const run of [plain, correction]) await pipeline.completed(run);
    const { correction_of } = pipeline.runs().find((run) => run.run_id === correction)!;
    assert.equal(correction_of, pipeline.runs().at(-1)!.run_id);
    assert.equal(pipeline.sql("SELECT * FROM record_corrections").length, 1);
  },
);

Deno.test("of runs that ended while the extractor was down, a cancelled one ends again, and a failed one is loaded", async () => {
  await using pipeline = await startPipeline({ users: 100, sftp: "none" });
  await pipeline.start("extractor", "saver");
  const [cancelled, failed] = [await pipeline.tell(), await pipeline.tell()];
  const extracted = (runId: string) =>
    pipeline.events(runId).some(({ type }) => type === "phase_completed") && runId;
  for (const runId of [cancelled, failed]) await pipeline.until("the extraction", () => extracted(runId));
  await pipeline.stop("extractor");
  const end = (fields: { type: string; [key: string]: string | boolean }) =>
    pipeline.channel.publish(
      compose("channel:run_events", fields.type, { actor: "api", ...fields } as never, {
        id: "end",
        published_at: pipeline.events(failed).at(-1)!.published_at,
      }),
    );
  await end({ type: "run_cancelled", run_id: cancelled, requested_by: "ana" });
  await end({
    type: "run_failed",
    run_id: failed,
    phase: "TRANSFORMING",
    reason: "no rules",
    retryable: true,
  });
  await pipeline.status("FAILED", cancelled);
  await pipeline.status("FAILED", failed);
  await pipeline.stop("saver");

  Object.assign(pipeline.env, { QUEUE_PATH: "database/new.db" });
  await pipeline.start("transformer", "saver", "extractor");
  await pipeline.until("the load", () => pipeline.runs().some(({ status }) => status === "COMPLETED"));
  const ended = await pipeline.until(
    "the end",
    () => pipeline.runs().find(({ run_id, failure_phase }) => run_id === cancelled && failure_phase !== null),
  );
  assert.deepEqual([ended.status, ended.failure_reason, ended.loaded_at], [
    "FAILED",
    "Cancelled by ana.",
    null,
  ]);
  assert.equal(pipeline.tables().raw_users, 100);
  const kept = `${pipeline.folder}/data/state/untransformed`;
  await pipeline.until(
    "its end in the extractor",
    async () => (await Array.fromAsync(Deno.readDir(kept))).length === 0,
  );
});
