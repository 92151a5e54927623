import assert from "node:assert/strict";
import { tell } from "../../shared/actor/ask.ts";
import { compose } from "../../shared/actor/message.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { RunRow } from "../../shared/store/rows.ts";
import { needing } from "../support/needs.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "../support/test_pipeline.ts";

interface Change {
  readonly id: number;
  readonly at: string;
  readonly n: unknown;
}

/** A source of changes that applies `since`, and a pipeline that reads it. */
interface Changing extends AsyncDisposable {
  readonly pipeline: TestPipeline;
  /** Adds a change at second `id`. */
  change(id: number, n?: unknown): void;
  /** The values of `since` in requests, newest last. */
  readonly requested: string[];
  /** Requests a run, and waits until it is loaded. */
  load(): Promise<RunRow>;
}

const at = (second: number) => `2026-03-01T00:00:${String(second).padStart(2, "0")}Z`;
const FROM = "2026-01-01T00:00:00Z";

async function startChanging(options: TestPipelineOptions = {}): Promise<Changing> {
  await using started = new AsyncDisposableStack();
  const changes: Change[] = [];
  const requested: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const since = new URL(request.url).searchParams.get("since")!;
    requested.push(since);
    return Response.json(changes.filter((change) => change.at >= since));
  });
  started.defer(() => server.shutdown());
  const dir = await Deno.makeTempDir({ prefix: "definitions-" });
  started.defer(() => Deno.remove(dir, { recursive: true }));
  await Deno.writeTextFile(
    `${dir}/issues.ts`,
    `import * as z from "zod";
import { integer, pipeline } from "etl";

export default pipeline({
  name: "issues",
  record: z.object({ id: integer, at: z.iso.datetime(), n: z.number() }),
  key: "id",
  source: {
    url: "http://127.0.0.1:${server.addr.port}/",
    paging: { by: "none" },
    since: { field: "at", from: "${FROM}", send: { since: "{}" } },
  },
  load: "upsert",
  hold: { invalid: "40%" },
});
`,
  );
  const pipeline = started.use(
    await startPipeline({ sftp: "none", ...options, env: { PIPELINES_DIR: dir, ...options.env } }),
  );
  const open = started.move();
  return {
    pipeline,
    requested,
    change: (id, n = id) => void changes.push({ id, at: at(id), n }),
    load: async () => await settled(pipeline, await pipeline.completed(await pipeline.tell("issues"))),
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}

/** Waits until the extractor knows all outcomes. */
async function settled<T>(pipeline: TestPipeline, value: T): Promise<T> {
  await pipeline.until(
    "the outcome",
    async () => (await pipeline.channel.mailbox("channel:run_outcome").state()).depth === 0,
  );
  return value;
}

function sinceOf(run: RunRow): { from: string; to: string; rewinds: number } {
  const { from, to, rewinds } = JSON.parse(run.since!);
  return { from, to, rewinds };
}

Deno.test("a run that is rejected, dead-lettered or cancelled leaves no gap: the next one requests from before it", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change, load } = test;
  await pipeline.start("extractor", "transformer", "saver");
  for (const id of [1, 2, 3]) change(id);
  assert.deepEqual(sinceOf(await load()), { from: FROM, to: at(3), rewinds: 0 });

  change(4, "four");
  const held = await pipeline.status("HELD", await pipeline.tell("issues"));
  assert.deepEqual(sinceOf(held), { from: at(3), to: at(4), rewinds: 0 });
  await pipeline.channel.publish(
    compose("channel:decision", "reject", {
      run_id: held.run_id,
      pipeline: "issues",
      decision: "rejected",
      requested_by: "ana",
    }),
  );
  await settled(pipeline, await pipeline.status("FAILED", held.run_id));
  change(5);
  change(6);
  assert.deepEqual(sinceOf(await load()), { from: at(3), to: at(6), rewinds: 0 });
  assert.deepEqual(requested, [FROM, at(3), at(3)]);

  await pipeline.stop("saver");
  change(7);
  const damaged = await pipeline.tell("issues");
  await pipeline.until(
    "its files",
    async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === 1,
  );
  const folder = `${pipeline.folder}/data/processed_issues`;
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  await Deno.writeTextFile(`${folder}/${names.sort().at(-1)}`, "{}\n");
  await pipeline.start("saver");
  await pipeline.status("FAILED", damaged);
  assert.equal((await pipeline.channel.mailbox("channel:phase2_complete").state()).dead, 1);
  await load();
  assert.equal(requested.at(-1), at(6));

  await pipeline.stop("transformer");
  change(8);
  const cancelled = await pipeline.tell("issues");
  await pipeline.until(
    "its raw file",
    async () => (await pipeline.channel.mailbox("channel:phase1_complete").state()).depth === 1,
  );
  await pipeline.channel.publish(
    compose("channel:run_events", "cancelled", {
      type: "run_cancelled",
      run_id: cancelled,
      requested_by: "ana",
      actor: "api",
    }, { id: `cancel/${cancelled}`, published_at: new Date().toISOString() }),
  );
  await pipeline.start("transformer");
  await pipeline.status("FAILED", cancelled);
  await load();
  assert.equal(requested.at(-1), at(7));
  await load();
  assert.equal(requested.at(-1), at(8));
});

Deno.test("an invalid record at the cursor counts once for `hold`, though each run gets it again", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change, load } = test;
  await pipeline.start("extractor", "transformer", "saver");
  for (const id of [1, 2, 3]) change(id);
  change(4, "four");
  assert.equal((await load()).invalid_count, 1);
  for (const _ of [1, 2]) {
    const { valid_count, invalid_count } = await load();
    assert.deepEqual([requested.at(-1), valid_count, invalid_count], [at(4), 0, 1]);
  }
  change(5, "five");
  const { run_id } = await pipeline.status("HELD", await pipeline.tell("issues"));
  const [held] = pipeline.sql<{ reason: string }>(`SELECT reason FROM holds WHERE run_id = '${run_id}'`);
  assert.match(held!.reason, /: 1 of its 1 records are invalid/);
});

Deno.test("a run that starts while the one before isn't loaded requests from before it", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change, load } = test;
  await pipeline.start("extractor", "transformer", "saver");
  change(1);
  await load();
  await pipeline.stop("saver");
  change(2);
  const [first, second] = [await pipeline.tell("issues"), await pipeline.tell("issues")];
  await pipeline.until(
    "both",
    async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === 2,
  );
  assert.deepEqual(requested, [FROM, at(1), at(1)]);
  await pipeline.start("saver");
  for (const run of [first, second]) await pipeline.completed(run);
  await load();
  assert.equal(requested.at(-1), at(2));
});

for (const channel of ["embedded", "redis"] as const) {
  const test = channel === "redis" ? needing("redis-server") : Deno.test;
  test(`a load while no extractor ran, and the loss of its state, leave the next run at the correct cursor (${channel})`, async () => {
    await using test = await startChanging({ channel });
    const { pipeline, requested, change, load } = test;
    await pipeline.start("extractor", "transformer");
    change(1);
    const runId = await pipeline.tell("issues");
    await pipeline.until(
      "its files",
      async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === 1,
    );
    await pipeline.kill("extractor");
    await pipeline.start("saver");
    await pipeline.completed(runId);
    change(2);
    await pipeline.start("extractor");
    await settled(pipeline, runId);
    await load();
    assert.equal(requested.at(-1), at(1));
    await pipeline.kill("extractor", "saver");
    await Deno.remove(`${pipeline.folder}/data/state/standing`, { recursive: true });
    await pipeline.start("extractor", "saver");
    await pipeline.until(
      "what the saver tells again",
      () => Deno.stat(`${pipeline.folder}/data/state/standing/issues.json`).then(() => true, () => false),
    );
    change(3);
    await load();
    assert.equal(requested.at(-1), at(2));
  });
}

Deno.test("the outcome of a run survives the loss of the queue", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change } = test;
  await pipeline.start("extractor", "transformer");
  change(1);
  const runId = await pipeline.tell("issues");
  await pipeline.until(
    "its files",
    async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === 1,
  );
  await pipeline.kill("extractor");
  await pipeline.start("saver");
  await pipeline.completed(runId);
  await pipeline.until(
    "the outcome",
    async () => (await pipeline.channel.mailbox("channel:run_outcome").state()).depth === 1,
  );
  for (const service of ["transformer", "saver"]) await pipeline.stop(service);
  pipeline.env.QUEUE_PATH = "database/new.db";
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.until(
    "what the saver tells again",
    () => Deno.stat(`${pipeline.folder}/data/state/standing/issues.json`).then(() => true, () => false),
  );
  await using moved = await openChannel({ queuePath: `${pipeline.folder}/database/new.db` });
  await pipeline.completed(await tell(moved, { requestedBy: "test", actor: "cli", pipeline: "issues" }));
  assert.equal(requested.at(-1), at(1));
});

Deno.test("a rewind requests again from the given moment, replaces an unfinished run, and runs that began before it move nothing", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change, load } = test;
  await pipeline.start("extractor", "transformer", "saver");
  for (const id of [1, 2, 3, 4]) change(id);
  await load();
  await pipeline.stop("saver");
  change(5);
  const before = await pipeline.tell("issues");
  await pipeline.until(
    "its files",
    async () => (await pipeline.channel.mailbox("channel:phase2_complete").state()).depth === 1,
  );
  const rewind = newRunId();
  await pipeline.channel.publish(
    compose("channel:start_run", "rewind", {
      run_id: rewind,
      requested_by: "ana",
      pipeline: "issues",
      since: at(2),
    }),
  );
  await pipeline.until("the rewind", () => requested.at(-1) === at(2));
  // the older run is loaded after the rewind was requested, and the rewinding run is abandoned before its
  // load
  await pipeline.channel.publish(
    compose("channel:run_events", "cancelled", {
      type: "run_cancelled",
      run_id: rewind,
      requested_by: "ana",
      actor: "api",
    }, { id: `cancel/${rewind}`, published_at: new Date(Date.now() + 1_000).toISOString() }),
  );
  await pipeline.start("saver");
  await settled(pipeline, await pipeline.completed(before));
  await pipeline.status("FAILED", rewind);
  assert.deepEqual(sinceOf(await load()), { from: at(2), to: at(5), rewinds: 1 });
  await load();
  assert.equal(requested.at(-1), at(5));
});

Deno.test("in a terminal a pipeline is rewound, and runs show the range that they requested", async () => {
  await using test = await startChanging();
  const { pipeline, requested, change, load } = test;
  await pipeline.start("extractor", "transformer", "saver");
  const [line] = (await pipeline.begin("api").line(/^.*"message":"ready".*$/))!;
  pipeline.env.API_PORT = String(JSON.parse(line).properties.port);
  for (const id of [1, 2, 3]) change(id);
  await load();
  const runs = await pipeline.task("etl", "runs");
  assert.match(runs.stdout, new RegExp(`delivery +since +up to +id\\n.* ${FROM} +${at(3)} `));
  const wrong = await pipeline.task("etl", "rewind", "issues", "--to", "yesterday");
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stderr,
    /Cannot rewind issues to "yesterday": wanted a time such as 2026-01-01T00:00:00Z/,
  );
  const rewound = await pipeline.task("etl", "rewind", "issues", "--to", at(2), "--watch");
  assert.equal(rewound.code, 0, rewound.stderr);
  assert.equal(requested.at(-1), at(2));
  const shown = await pipeline.task("etl", "show", "latest");
  assert.ok(
    shown.stdout.includes(`It requested changes since ${at(2)}, and got all up to ${at(3)}.`),
    shown.stdout,
  );
  const audit = (await pipeline.lines("data/state/audit.jsonl")).map((line) => JSON.parse(line));
  assert.deepEqual(audit.map(({ action, about }) => [action, about.since]), [["startRun", at(2)]]);
});
