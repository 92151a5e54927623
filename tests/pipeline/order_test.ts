import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { commandOf, type Service } from "../../cli/services.ts";
import { status, withFaults } from "../support/faulty_source.ts";
import { startPipeline } from "../support/test_pipeline.ts";
import { onEachEngine } from "../support/engines.ts";
import { needing } from "../support/needs.ts";

const test = needing("redis-server", "sshd");

/** Every order in which the three phases can start. */
const ORDERS: Service[][] = [
  ["extractor", "transformer", "saver"],
  ["extractor", "saver", "transformer"],
  ["transformer", "saver", "extractor"],
  ["saver", "extractor", "transformer"],
];

for (const order of ORDERS) {
  test(`over Redis and OpenSSH nothing is lost when services start in the order ${order.join(", ")}`, async () => {
    await using pipeline = await startPipeline({
      channel: "redis",
      sftp: "openssh",
      env: { RUN_ON_START: undefined },
    });
    for (const service of order) {
      await pipeline.start(service);
      if (service === "extractor") await pipeline.logged(/message settled/, "extractor"); // its run has ended before the next service starts
    }
    const run = await pipeline.completed();
    assert.deepEqual([run.valid_count, run.invalid_count, run.requested_by, run.delivery_state], [
      208,
      0,
      "schedule",
      "DELIVERED",
    ]);
    assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
    assert.equal(pipeline.runs().length, 1);
    const stamp = run.raw_file!.slice(-"20261124_030007.jsonl".length, -".jsonl".length);
    assert.deepEqual(await pipeline.remoteFiles(), [
      `etl_${stamp}.jsonl`,
      `invalid_users_${stamp}.jsonl`,
      `manifest_${stamp}.json`,
      `records_${stamp}.jsonl`,
    ]);
    assert.deepEqual(await pipeline.partFiles(), []);
  });
}

onEachEngine(
  "a run that failed while the clock was ahead shows its later delivery, not the failure",
  async (engine) => {
    await using pipeline = await startPipeline({ engine, sftp: "none" });
    await pipeline.start("extractor", "transformer", "saver");
    const { run_id } = await pipeline.completed(await pipeline.tell());
    const ahead = new Date(Date.now() + 3_600_000).toISOString();
    await pipeline.channel.publish(
      compose("channel:run_events", "failure", {
        type: "run_failed",
        run_id,
        phase: "DELIVERING",
        reason: "refused",
        retryable: true,
        actor: "courier",
      }, { id: "ahead", published_at: ahead }),
    );
    await pipeline.until("the failure", () => pipeline.runs()[0]?.status === "FAILED");
    await pipeline.channel.publish(compose("channel:deliver", "again", { run_id }));
    await pipeline.until("the delivery", () => pipeline.runs()[0]?.status === "COMPLETED");
  },
);

Deno.test("a run whose extraction failed while the clock was ahead is shown as resumed, and completes", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    sftp: "none",
    wrap: withFaults(({ skip }) => skip === 100 && !isFixed ? status(404) : undefined),
  });
  const [run, ...args] = commandOf("extractor", pipeline.env, pipeline.pipelines);
  const clockAhead = new URL("../support/clock_ahead.ts", import.meta.url).href;
  await pipeline.spawn("extractor", [run!, `--preload=${clockAhead}`, ...args]).line(/"message":"ready"/);
  await pipeline.start("transformer", "saver");
  const { run_id } = await pipeline.status("FAILED", await pipeline.tell());
  assert.ok(pipeline.runs()[0]!.status_at > new Date(Date.now() + 60_000).toISOString());
  await pipeline.stop("extractor");
  isFixed = true;
  const mailbox = pipeline.channel.mailbox("channel:phase1_complete");
  await mailbox.pause();
  await pipeline.start("extractor");
  await pipeline.tell();
  await pipeline.until(
    "the extraction",
    () => pipeline.runs().find((run) => run.run_id === run_id)?.status === "EXTRACTING",
  );
  await mailbox.resume();
  const { valid_count } = await pipeline.until(
    "the run's end",
    () => pipeline.runs().find((run) => run.run_id === run_id && run.status === "COMPLETED"),
  );
  assert.equal(valid_count, 208);
});

onEachEngine(
  "a dead letter that failed while the clock was ahead is replayed, and its run shows the later events",
  async (engine) => {
    await using pipeline = await startPipeline({ engine, sftp: "none" });
    const mailbox = pipeline.channel.mailbox("channel:phase2_complete");
    await mailbox.pause();
    await pipeline.start("extractor", "transformer", "saver");
    await pipeline.tell();
    await pipeline.until("the processed file's message", async () => (await mailbox.state()).depth === 1);
    const [processed] = (await pipeline.dataFiles()).filter((name) => name.includes("/etl_"));
    const path = `${pipeline.folder}/${processed}`;
    await Deno.rename(path, `${path}.away`);
    await mailbox.resume();
    const { run_id } = await pipeline.status("FAILED");
    await pipeline.channel.publish(
      compose("channel:run_events", "failure", {
        type: "run_failed",
        run_id,
        phase: "LOADING",
        reason: "missing",
        retryable: false,
        actor: "saver",
      }, { id: "ahead", published_at: new Date(Date.now() + 3_600_000).toISOString() }),
    );
    await pipeline.until("the later failure", () => pipeline.runs()[0]?.failure_reason === "missing");
    await Deno.rename(`${path}.away`, path);
    const [letter] = await mailbox.dead({ limit: 1 });
    await mailbox.replay(letter!.id);
    const run = await pipeline.until(
      "the run's end",
      () => pipeline.runs().find(({ status }) => status === "COMPLETED"),
    );
    assert.equal(run.valid_count, 208);
  },
);
