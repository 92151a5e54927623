import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { Decision } from "../../shared/contracts/messages.ts";
import { openStore } from "../../shared/store/open.ts";
import { changingSource } from "../support/changing_source.ts";
import { channelBeside, onEachEngine } from "../support/engines.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "../support/test_pipeline.ts";
import type { HoldRow } from "../../shared/store/rows.ts";

/** A pipeline with a loaded run of 208 users and a held run of 60. */
async function heldPipeline(options: TestPipelineOptions = {}) {
  const source = changingSource();
  await using started = new AsyncDisposableStack();
  const pipeline = started.use(await startPipeline({ sftp: "local", ...options, wrap: source.wrap }));
  await pipeline.start("extractor", "transformer", "saver");
  const first = await pipeline.completed(await pipeline.tell());
  const delivered = await pipeline.remoteFiles();
  source.has(60);
  const held = await pipeline.status("HELD", await pipeline.tell());
  const open = started.move();
  return {
    pipeline,
    source,
    first,
    held,
    delivered,
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}

/** Sends a decision as the API does. */
async function decide(
  pipeline: TestPipeline,
  runId: string,
  decision: Decision,
  by = "ana",
): Promise<void> {
  await pipeline.channel.publish(
    compose("channel:decision", `decision/${runId}/${newRunId()}/${decision}`, {
      run_id: runId,
      pipeline: "users",
      decision,
      requested_by: by,
    }),
  );
}

function holdOf(pipeline: TestPipeline, runId: string): HoldRow {
  return pipeline.sql<HoldRow>(`SELECT * FROM holds WHERE run_id = '${runId}'`)[0]!;
}

const typesOf = (pipeline: TestPipeline, runId: string) => pipeline.events(runId).map(({ type }) => type);

async function bytesOf(pipeline: TestPipeline, kind: string): Promise<string[]> {
  const files = (await pipeline.dataFiles()).filter((name) => name.includes(kind));
  return await Promise.all(files.map((name) => Deno.readTextFile(`${pipeline.folder}/${name}`)));
}

Deno.test("a run that shrank below half is held: nothing of it is loaded or on the server until it is released, and then exactly its bytes are", async () => {
  await using test = await heldPipeline();
  const { pipeline, held, delivered, first } = test;
  const runId = held.run_id;
  const hold = holdOf(pipeline, runId);
  assert.match(hold.reason, /it has 60 valid records, fewer than 50 % of the 208 of run 1\.$/);
  assert.equal(hold.compared_with, first.run_id);
  assert.equal(typesOf(pipeline, runId).at(-1), "run_held");
  assert.equal(pipeline.tables().processed_users, 208);
  assert.deepEqual(held.loaded_at, null);
  await pipeline.until(
    "a server with only the first run",
    async () => `${await pipeline.remoteFiles()}` === `${delivered}`,
  );
  const bytes = await bytesOf(pipeline, "processed");

  await decide(pipeline, runId, "released");
  const { delivery_state } = await pipeline.completed(runId);
  assert.equal(delivery_state, "DELIVERED");
  assert.equal(pipeline.tables().processed_users, 268);
  assert.deepEqual(await bytesOf(pipeline, "processed"), bytes);
  assert.equal((await pipeline.remoteFiles()).length, delivered.length + 4);
  assert.deepEqual(
    { ...holdOf(pipeline, runId), decided_at: null, order_id: null },
    { ...hold, samples: null, decision: "released", decided_by: "ana", decided_at: null, order_id: null },
  );
});

Deno.test("a rejected run leaves only its record, and the next one is compared with the run before it", async () => {
  await using test = await heldPipeline();
  const { pipeline, held, delivered, source, first } = test;
  const files = await pipeline.dataFiles();
  assert.equal(files.length, 6);
  await decide(pipeline, held.run_id, "rejected", "eva");
  const rejected = await pipeline.status("FAILED", held.run_id);
  assert.equal(rejected.failure_reason, "Rejected by eva.");
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
  assert.deepEqual(await pipeline.remoteFiles(), delivered);
  await pipeline.until("the removal of its files", async () => (await pipeline.dataFiles()).length === 3);
  assert.equal((await pipeline.channel.mailbox("channel:phase2_complete").state()).depth, 0);
  source.has(104);
  await pipeline.completed(await pipeline.tell());
  source.has(40);
  const again = await pipeline.status("HELD", await pipeline.tell());
  assert.notEqual(holdOf(pipeline, again.run_id).compared_with, first.run_id);
});

Deno.test("if two people decide at once, the first decision counts; a repeated order changes nothing", async () => {
  await using test = await heldPipeline();
  const { pipeline, held: { run_id } } = test;
  await Promise.all([
    decide(pipeline, run_id, "rejected", "eva"),
    decide(pipeline, run_id, "released", "ana"),
    decide(pipeline, run_id, "rejected", "eva"),
  ]);
  await pipeline.until(
    "all orders",
    async () => (await pipeline.channel.mailbox("channel:decision").state()).depth === 0,
  );
  const { decision, decided_by } = holdOf(pipeline, run_id);
  const run = await pipeline.status(decision === "released" ? "COMPLETED" : "FAILED", run_id);
  const decided = typesOf(pipeline, run_id).filter((type) =>
    type === "run_released" || type === "run_rejected"
  );
  assert.deepEqual(decided, [`run_${decision}`]);
  assert.equal(decided_by, decision === "released" ? "ana" : "eva");
  assert.equal(run.loaded_at !== null, decision === "released");
  assert.equal(pipeline.tables().processed_users, decision === "released" ? 268 : 208);
});

Deno.test("a held run that is cancelled is rejected", async () => {
  await using test = await heldPipeline();
  const { pipeline, held } = test;
  await pipeline.channel.publish(
    compose("channel:run_events", "cancelled", {
      type: "run_cancelled",
      run_id: held.run_id,
      requested_by: "ana",
      actor: "api",
      pipeline: "users",
    }, { id: `cancel/${held.run_id}`, published_at: held.status_at }),
  );
  await pipeline.until("the decision", () => holdOf(pipeline, held.run_id).decision === "rejected");
  await pipeline.until("the end", () => typesOf(pipeline, held.run_id).at(-1) === "run_rejected");
  assert.equal((await pipeline.status("FAILED", held.run_id)).loaded_at, null);
  await pipeline.until("the removal of its files", async () => (await pipeline.dataFiles()).length === 3);
});

Deno.test("bytes changed while the run was held are not loaded", async () => {
  await using test = await heldPipeline();
  const { pipeline, held: { run_id } } = test;
  const name = JSON.parse(holdOf(pipeline, run_id).message).processed_file;
  const path = `${pipeline.folder}/${name}`;
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("Engineering", "Marketing!!"));
  await decide(pipeline, run_id, "released");
  const failed = await pipeline.status("FAILED", run_id);
  assert.match(failed.failure_reason!, /its SHA-256 is .* was announced/);
  assert.equal(pipeline.tables().processed_users, 208);
});

onEachEngine(
  "a restart of everything while a run is held changes nothing",
  async (engine) => {
    await using test = await heldPipeline({ engine, channel: channelBeside(engine) });
    const { pipeline, held, delivered } = test;
    const [run, hold, events] = [held, holdOf(pipeline, held.run_id), typesOf(pipeline, held.run_id)];
    await pipeline.kill("saver");
    for (const service of ["extractor", "transformer"]) await pipeline.stop(service);
    await pipeline.start("extractor", "transformer", "saver");
    await pipeline.until("an empty queue", async () => {
      const mailboxes = ["channel:phase2_complete", "channel:run_events", "channel:run_outcome"];
      const states = await Promise.all(mailboxes.map((name) => pipeline.channel.mailbox(name).state()));
      return states.every(({ depth }) => depth === 0);
    });
    assert.deepEqual(await pipeline.status("HELD", held.run_id), run);
    assert.deepEqual(holdOf(pipeline, held.run_id), hold);
    assert.deepEqual(typesOf(pipeline, held.run_id), events);
    assert.deepEqual(await pipeline.remoteFiles(), delivered);
    await decide(pipeline, held.run_id, "released");
    await pipeline.completed(held.run_id);
  },
  "redis-server",
);

Deno.test("a later run waits behind a held one without an attempt, and `run` ends with 1 and the reason", async () => {
  await using test = await heldPipeline({ sftp: "none", env: { LOG_LEVEL: "debug" } });
  const { pipeline, held, source } = test;
  await pipeline.until(
    "the extractor knows",
    async () => (await pipeline.channel.mailbox("channel:run_outcome").state()).depth === 0,
  );
  source.has(70);
  const later = await pipeline.tell();
  await pipeline.logged(new RegExp(`Run ${later} waits: run ${held.run_id} of the same pipeline is held`));
  // events are recorded by a separate message
  await pipeline.until("the request's event", () => typesOf(pipeline, later).length > 0);
  assert.deepEqual(typesOf(pipeline, later), ["run_requested"]);
  await decide(pipeline, held.run_id, "released");
  await pipeline.completed(later);
  const starts = pipeline.events(later).filter((event) => event.type === "phase_started");
  assert.ok(starts.every((event) => event.type === "phase_started" && event.attempt === 1));

  source.has(30);
  for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);
  const run = await pipeline.task("run");
  assert.equal(run.code, 1, run.stdout);
  assert.match(run.stderr, /The run is held: .*it has 30 valid records, fewer than 50 % of the 70 of run 3/);
  const again = await pipeline.task("run");
  assert.equal(again.code, 1);
  assert.match(again.stderr, /Cannot start a run: run \S+ is held before its load\. Release or reject it/);
});

Deno.test("`run` says once that its run waits for a held one, and how to release that", async () => {
  await using test = await heldPipeline({ sftp: "none" });
  const { pipeline, held, source } = test;
  await decide(pipeline, held.run_id, "released");
  await pipeline.completed(held.run_id);
  source.has(20);
  const loads = pipeline.channel.mailbox("channel:phase2_complete");
  await loads.pause();
  const smaller = await pipeline.tell();
  await pipeline.until("its announcement", async () => (await loads.state()).depth === 1);
  for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);

  const run = pipeline.beginTask("run");
  await run.line(/^run \S+ requested$/);
  await loads.resume();
  await run.line(
    new RegExp(`^waits: run ${smaller} .* with: deno task etl release ${smaller} \\(or reject\\)$`),
  );
  await decide(pipeline, smaller, "released");
  await run.line(/^Run \S+ COMPLETED: 20 valid/);
  const said = pipeline.logs().filter(({ part, text }) => part === "run" && text.startsWith("waits: "));
  assert.equal(said.length, 1);
});

Deno.test("the demo is never held", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  for (const users of ["100", "20"]) {
    const { code, stdout, stderr } = await pipeline.task("demo", "--once", "--users", users, "--bad", "0.1");
    assert.equal(code, 0, `${stdout}${stderr}`);
  }
});

onEachEngine(
  "a saver killed while it holds, releases, loads or rejects leaves each run decided once and loaded as a whole or not at all",
  async (engine) => {
    const source = changingSource();
    await using pipeline = await startPipeline({
      engine,
      channel: channelBeside(engine),
      sftp: "none",
      wrap: source.wrap,
    });
    await pipeline.start("extractor", "transformer", "saver");
    let rows = 208;
    await pipeline.completed(await pipeline.tell());
    const killed = async (what: string, look: () => boolean) => {
      await pipeline.until(what, look);
      await pipeline.kill("saver");
      await pipeline.start("saver");
    };
    const loaded = (runId: string) =>
      pipeline.sql<{ n: number }>(`SELECT count(*) AS n FROM run_files WHERE run_id = '${runId}'`)[0]!.n;

    const kills: Record<Decision, ((runId: string) => boolean)[]> = {
      released: [
        (runId) => holdOf(pipeline, runId).decision !== null,
        (runId) => loaded(runId) > 0,
      ],
      rejected: [(runId) => holdOf(pipeline, runId).decision !== null],
    };
    for (const decision of ["released", "rejected"] as const) {
      for (const look of kills[decision]) {
        source.has(60);
        const runId = await pipeline.tell();
        await killed("a hold", () => holdOf(pipeline, runId) !== undefined);
        await pipeline.status("HELD", runId);
        await decide(pipeline, runId, decision);
        await killed("the moment", () => look(runId));
        await pipeline.status(decision === "released" ? "COMPLETED" : "FAILED", runId);
        rows += decision === "released" ? 60 : 0;
        assert.equal(pipeline.tables().processed_users, rows);
        const decided = () => typesOf(pipeline, runId).filter((type) => /released|rejected/.test(type));
        // if the saver is killed after its decision, the event follows with the order's next claim
        await pipeline.until("the decision's event", () => decided().length > 0);
        assert.deepEqual(decided(), [`run_${decision}`]);
        source.has(208);
        await pipeline.completed(await pipeline.tell());
        rows += 208;
      }
    }
    const { dead } = await pipeline.channel.mailbox("channel:phase2_complete").state();
    assert.equal(dead, 0);
  },
  "redis-server",
);

onEachEngine(
  "a held run, and a release whose load is still pending, survive the loss of the queue",
  async (engine) => {
    await using test = await heldPipeline({ engine, sftp: "none" });
    const { pipeline, held: { run_id } } = test;
    const restart = async (queue: string) => {
      for (const service of ["extractor", "transformer"]) await pipeline.stop(service);
      pipeline.env.QUEUE_PATH = `database/${queue}.db`;
      await pipeline.start("extractor", "transformer", "saver");
      return await openChannel({ queuePath: `${pipeline.folder}/database/${queue}.db` });
    };
    await pipeline.stop("saver");
    await using _second = await restart("second");
    await pipeline.logged(/"message":"ready".*"logger":"etl.saver"/);
    assert.equal((await pipeline.status("HELD", run_id)).loaded_at, null);
    // the decision is recorded, but its order to load was lost with the queue
    await pipeline.kill("saver");
    {
      await using store = await openStore(pipeline.place.at, []);
      const order = { run_id, decision: "released" as const, requested_by: "ana" };
      await store.decide(order, `decision/${run_id}/released`);
    }
    await using _third = await restart("third");
    await pipeline.completed(run_id);
    assert.equal(pipeline.tables().processed_users, 268);
  },
);

Deno.test("a correction neither waits behind a held run nor is held itself, however few records it has", async () => {
  const source = changingSource();
  source.has(208, 0.1);
  await using pipeline = await startPipeline({ sftp: "none", wrap: source.wrap });
  await pipeline.start("extractor", "transformer", "saver");
  const first = await pipeline.completed(await pipeline.tell());
  source.has(60);
  const held = await pipeline.status("HELD", await pipeline.tell());
  await pipeline.until(
    "the extractor knows",
    async () => (await pipeline.channel.mailbox("channel:run_outcome").state()).depth === 0,
  );
  const correction = newRunId();
  const patches = [{ line: 2, text: (await pipeline.lines(first.processed_file!))[0]! }];
  await pipeline.channel.publish(
    compose("channel:start_run", correction, {
      run_id: correction,
      requested_by: "test",
      correction: { of: first.run_id, dlq_file: first.dlq_file!, patches },
    }),
  );
  assert.equal((await pipeline.completed(correction)).valid_count, 1);
  assert.equal((await pipeline.status("HELD", held.run_id)).loaded_at, null);
});
