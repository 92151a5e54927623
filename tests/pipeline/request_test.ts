import assert from "node:assert/strict";
import type { Handler } from "../../local/source/server.ts";
import { Users } from "../../local/source/users.ts";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { status, withFaults } from "../support/faulty_source.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";
import { onEachEngine } from "../support/engines.ts";

/** A source that doesn't respond until it is released. */
function heldSource() {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const requested = Promise.withResolvers<void>();
  const wrap = (answer: Handler): Handler => async (request) => {
    requested.resolve();
    await promise;
    return await answer(request);
  };
  return { wrap, requested: requested.promise, release };
}

/** Long enough that the same service holds its message for the whole test. */
const PATIENT = { HTTP_TIMEOUT_SECONDS: "600", LEASE_SECONDS: "600" };

Deno.test("a request while a run is being extracted is answered with that run", async () => {
  const source = heldSource();
  await using pipeline = await startPipeline({ ...source, sftp: "none", env: PATIENT });
  await pipeline.start("extractor", "transformer", "saver");
  const runId = await pipeline.tell();
  await source.requested;
  const refused = await pipeline.task("run");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, new RegExp(`Cannot start a run: run ${runId} is being extracted`));
  source.release();
  await pipeline.completed(runId);
  assert.equal(pipeline.runs().length, 1);
});

for (
  const [what, env] of Object.entries({
    "an interval": { SLEEP_INTERVAL_SECONDS: "1" },
    "a cron pattern": { SCHEDULE: "* * * * * *" },
  })
) {
  Deno.test(`${what} starts runs without a request, each once`, async () => {
    await using pipeline = await startPipeline({ users: 20, sftp: "none", env });
    await pipeline.start("transformer", "saver", "extractor");
    await pipeline.until(
      "three runs",
      () => pipeline.runs().filter((run) => run.status === "COMPLETED").length >= 3,
    );
    assert.equal(await pipeline.stop("extractor"), 0);
    const runs = await pipeline.until("the end of all", () => {
      const runs = pipeline.runs();
      return runs.every((run) => run.status === "COMPLETED") && runs;
    });
    assert.ok(runs.every((run) => run.requested_by === "schedule"));
    assert.equal(new Set(runs.map((run) => run.raw_file)).size, runs.length);
    assert.equal(pipeline.tables().raw_users, 20 * runs.length);
  });
}

Deno.test("an extractor started with --once reports the result by its exit code", async () => {
  let down = true;
  const wrap = withFaults(() => down ? status(500) : undefined);
  await using pipeline = await startPipeline({ wrap, sftp: "none", env: { MAX_RETRIES: "0" } });
  const failed = await pipeline.task("extractor", "--once");
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /extractor failed: Cannot .*500/);
  pipeline.env.BATCH_SIZE = "none";
  assert.equal((await pipeline.task("extractor", "--once")).code, 2);
  pipeline.env.BATCH_SIZE = "50";
  down = false;
  const worked = await pipeline.task("extractor", "--once");
  assert.equal(worked.code, 0, worked.stderr);
  assert.equal((await pipeline.channel.mailbox("channel:phase1_complete").state()).depth, 1);
  await pipeline.start("transformer", "saver");
  await pipeline.until("the run", () => pipeline.runs().some((run) => run.status === "COMPLETED"));
  assert.equal(pipeline.tables().processed_users, 208);
});

Deno.test("a saver without an SFTP server warns at its start, and its runs complete", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  const saver = pipeline.beginTask("saver");
  await saver.line(/SFTP_HOST is not set.*NOT_CONFIGURED/);
  await pipeline.start("extractor", "transformer");
  assert.equal((await pipeline.completed(await pipeline.tell())).delivery_state, "NOT_CONFIGURED");
  assert.equal(await saver.stop(), 0);
});

onEachEngine(
  "each service, stopped in the middle of its work, ends in time with 0 and uses up no attempt",
  async (engine) => {
    const source = heldSource();
    await using pipeline = await startPipeline({ engine, wrap: source.wrap, sftp: "openssh", env: PATIENT });
    // The courier waits for a server, the extractor for a source, the transformer for a pipe.
    const [loaded, begun] = [
      await handMade(pipeline, "20261124_030001"),
      await handMade(pipeline, "20261124_030002", true),
    ];
    await pipeline.site!.freeze();
    await pipeline.start("extractor", "transformer", "saver");
    await announce(pipeline, loaded);
    await pipeline.until(
      "the courier",
      () => pipeline.runs().some((run) => run.run_id === loaded.runId && run.status === "DELIVERING"),
    );
    await announce(pipeline, begun);
    const pipe = await Deno.open(`${pipeline.folder}/${begun.file}`, { write: true });
    await pipe.write(new TextEncoder().encode(begun.text.slice(0, 1_000)));
    await Deno.remove(`${pipeline.folder}/${begun.file}`);
    await Deno.writeTextFile(`${pipeline.folder}/${begun.file}`, begun.text); // for the saver, which starts later
    const requested = await pipeline.tell();
    await source.requested;

    const ends = ["extractor", "transformer", "saver"].map((service) => pipeline.stop(service));
    await pipe.write(new TextEncoder().encode(begun.text.slice(1_000)));
    pipe.close();
    assert.deepEqual(await Promise.all(ends), [0, 0, 0]);

    await pipeline.site!.thaw();
    source.release();
    await pipeline.start("extractor", "transformer", "saver");
    for (const runId of [loaded.runId, begun.runId, requested]) {
      await pipeline.completed(runId);
      const attempts = pipeline.events(runId).flatMap((event) =>
        event.type === "phase_started" ? [event.attempt] : []
      );
      assert.ok(attempts.every((attempt) => attempt === 1), `${attempts}`);
      assert.ok(!pipeline.events(runId).some((event) => event.type === "phase_retrying"));
    }
  },
  "sshd",
);

interface HandMade {
  readonly runId: string;
  readonly file: string;
  readonly text: string;
}

/** Writes a raw file as another program would. With `pipe`, creates a pipe that the test has to fill. */
async function handMade(pipeline: TestPipeline, stamp: string, pipe = false): Promise<HandMade> {
  const file = `data/raw_users/records_${stamp}.jsonl`;
  const users = new Users(0, 1);
  const text = Array.from({ length: 30 }, (_, i) => `${users.json(i)}\n`).join("");
  await Deno.mkdir(`${pipeline.folder}/data/raw_users`, { recursive: true });
  if (pipe) await new Deno.Command("mkfifo", { args: [`${pipeline.folder}/${file}`] }).output();
  else await Deno.writeTextFile(`${pipeline.folder}/${file}`, text);
  return { runId: newRunId(), file, text };
}

async function announce(pipeline: TestPipeline, { runId, file }: HandMade): Promise<void> {
  await pipeline.channel.publish(
    compose("channel:phase1_complete", `test/${runId}`, { run_id: runId, raw_file: file }),
  );
}
