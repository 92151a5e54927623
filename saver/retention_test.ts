import assert from "node:assert/strict";
import { basename, dirname } from "node:path";
import { getLogger } from "@logtape/logtape";
import { Delivered, type Made } from "../tests/support/delivered.ts";
import { type Engine, onEachEngine } from "../tests/support/engines.ts";
import { OURS } from "../tests/support/sftp.ts";
import { tell } from "../shared/actor/ask.ts";
import { decode } from "../shared/actor/message.ts";
import { keepRemoving, oldRuns, removeOld } from "./retention.ts";

const DAY = 24 * 3600 * 1000;
const NOW = Date.UTC(2026, 10, 24, 12);
const never = new AbortController().signal;
const log = getLogger("test");

/** A pipeline with a run that is 40 days old. */
async function pipelineWithOldRun(engine?: Engine) {
  const pipeline = await Delivered.open({ kind: OURS, engine });
  return { pipeline, old: await pipeline.run({ at: NOW - 40 * DAY }) };
}

function partsOf({ store, files, channel }: Delivered, days = 30) {
  const lines: { text: string; about: Record<string, unknown> }[] = [];
  const note = (text: string, about: Record<string, unknown>) => lines.push({ text, about });
  return {
    store,
    files,
    channel,
    days,
    log: { info: note, warning: note, error: note } as unknown as typeof log,
    lines,
  };
}

async function left({ raw, processed, invalid }: Made): Promise<string[]> {
  const there = (path: string) => Deno.stat(path).then(() => true, () => false);
  return (await Promise.all([raw, processed, invalid].map(async (path) => await there(path) ? [path] : [])))
    .flat();
}

const reasons = async (pipeline: Delivered) =>
  (await Array.fromAsync(oldRuns(pipeline.store.runs, 30, NOW))).map(({ keep }) => keep);

onEachEngine(
  "files of an old delivered run are removed, with a line each; rows and newer runs stay",
  async (engine) => {
    const { pipeline, old } = await pipelineWithOldRun(engine);
    await using _ = pipeline;
    const young = await pipeline.run({ at: NOW - 20 * DAY });
    const parts = partsOf(pipeline);
    assert.deepEqual(
      (await Array.fromAsync(oldRuns(pipeline.store.runs, 30, NOW))).map(({ run }) => run.run_id),
      [old.runId],
    );
    assert.deepEqual(await left(old), [old.raw, old.processed, old.invalid], "listing removes nothing");

    assert.equal(await removeOld(parts, never, NOW), 3);
    assert.deepEqual(await left(old), []);
    assert.equal((await left(young)).length, 3);
    assert.deepEqual(parts.lines.map(({ about }) => [about.run_id, about.name]), [
      [old.runId, old.raw],
      [old.runId, old.processed],
      [old.runId, old.invalid],
    ]);
    const files = (await pipeline.store.runs.filesOf([old.runId])).get(old.runId)!;
    assert.deepEqual(files.map(({ removed_at }) => removed_at), Array(3).fill(new Date(NOW).toISOString()));
    assert.equal(await pipeline.store.records.count("raw_users", old.runId), 208);

    assert.equal(await removeOld(parts, never, NOW), 0, "what is gone isn't removed again");
    // a second delivery finds all files on the server
    assert.equal((await pipeline.deliver(old.runId, NOW)).sent, 0);
  },
);

Deno.test("the receipt of a transform is removed with the processed file", async () => {
  const { pipeline, old } = await pipelineWithOldRun();
  await using _ = pipeline;
  const young = await pipeline.run({ at: NOW - 20 * DAY });
  const receipts = await Promise.all([old, young].map(async ({ processed }) => {
    const folder = pipeline.files.path("state/transformed", basename(dirname(processed)));
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(`${folder}/${basename(processed)}.json`, "{}");
    return `${folder}/${basename(processed)}.json`;
  }));
  assert.equal(await removeOld(partsOf(pipeline), never, NOW), 3);
  const left = await Promise.all(receipts.map((path) => Deno.stat(path).then(() => true, () => false)));
  assert.deepEqual(left, [false, true]);
});

onEachEngine(
  "a run stays whole while it isn't completed, isn't fully delivered, or is being corrected",
  async (engine) => {
    const { pipeline, old } = await pipelineWithOldRun(engine);
    await using _ = pipeline;
    const change = (sql: string) => pipeline.place.change(`${sql} run_id = '${old.runId}'`);
    const cases: [spoil: () => Promise<unknown>, reason: RegExp][] = [
      [
        () => change("UPDATE etl_runs SET delivery_state = 'PENDING' WHERE"),
        /its delivery is PENDING/,
      ],
      [
        () => change("UPDATE etl_runs SET delivery_state = 'NOT_CONFIGURED' WHERE"),
        /NOT_CONFIGURED/,
      ],
      [
        () => change("UPDATE deliveries SET sha256 = 'x' WHERE kind = 'invalid' AND"),
        /its invalid file/,
      ],
      [
        () => change("UPDATE deliveries SET verified = 'size' WHERE kind = 'raw' AND"),
        /its raw file/,
      ],
      [() => change("DELETE FROM deliveries WHERE kind = 'manifest' AND"), /not all of its files/],
      [
        () => change("UPDATE deliveries SET delivered_at = '2026-11-24T11:00:00.000Z' WHERE"),
        /since/,
      ],
      [async () => {
        const { runId } = await pipeline.run({ at: NOW - DAY, correctionOf: old.runId, deliver: false });
        await pipeline.tell(runId, NOW, { type: "phase_started", phase: "DELIVERING", attempt: 1 });
      }, /its correction \S+ is DELIVERING/],
    ];
    for (const [spoil, reason] of cases) {
      await pipeline.deliver(old.runId, NOW - 40 * DAY);
      await change("UPDATE etl_runs SET delivery_state = 'DELIVERED' WHERE");
      assert.deepEqual(await reasons(pipeline), [undefined]);
      await spoil();
      assert.match((await reasons(pipeline))[0]!, reason);
      assert.equal(await removeOld(partsOf(pipeline), never, NOW), 0);
      assert.equal((await left(old)).length, 3);
    }
    await pipeline.tell(old.runId, NOW, {
      type: "run_failed",
      phase: "DELIVERING",
      reason: "no",
      retryable: false,
    });
    assert.deepEqual(await reasons(pipeline), [], "a run that failed is none of retention's business");
  },
);

Deno.test("a file changed since its delivery is kept for its owner; the others are removed", async () => {
  const { pipeline, old } = await pipelineWithOldRun();
  await using _ = pipeline;
  await Deno.writeTextFile(old.processed, "my notes", { append: true });
  const parts = partsOf(pipeline);
  assert.equal(await removeOld(parts, never, NOW), 2);
  assert.deepEqual(await left(old), [old.processed]);
  const [complaint] = parts.lines.filter(({ text }) => text.startsWith("cannot"));
  assert.match(
    String(complaint!.about.reason),
    /its SHA-256 is [0-9a-f]{64}, but [0-9a-f]{64} was delivered/,
  );
});

Deno.test("nothing outside the data directory is removed, whatever the database or a link says", async () => {
  const { pipeline, old } = await pipelineWithOldRun();
  await using _ = pipeline;
  const outside = `${pipeline.sftp.temp}/outside`;
  await Deno.rename(`${pipeline.data}/dlq`, outside);
  await Deno.symlink(outside, `${pipeline.data}/dlq`);
  const stray = `${pipeline.data}/../outside/${old.invalid.split("/").at(-1)}`;
  await pipeline.place.change(`UPDATE run_files SET name = '${stray}' WHERE kind = 'raw'`);
  const parts = partsOf(pipeline);
  assert.equal(await removeOld(parts, never, NOW), 1);
  assert.deepEqual((await Array.fromAsync(Deno.readDir(outside))).length, 1);
  const complaints = parts.lines.filter(({ text }) => text.startsWith("cannot")).map(({ about }) =>
    about.reason
  );
  assert.match(String(complaints[0]), /wanted a path inside/);
  assert.match(String(complaints[1]), /is a link, which may lead out of/);
});

onEachEngine(
  "a run whose correction is requested meanwhile keeps what wasn't removed yet",
  async (engine) => {
    const { pipeline, old } = await pipelineWithOldRun(engine);
    await using _ = pipeline;
    const parts = partsOf(pipeline);
    const { files } = parts;
    let requested: Promise<void> | undefined;
    const exists = async (name: string) => {
      await requested;
      return files.exists(name);
    };
    const remove = async (name: string) => {
      requested = pipeline.tell("0190e000-0000-7000-8000-000000000001", NOW, {
        type: "run_requested",
        requested_by: "test",
        correction_of: old.runId,
      });
      await files.remove(name);
    };
    const meanwhile = Object.assign(Object.create(files), { exists, remove });
    assert.equal(await removeOld({ ...parts, files: meanwhile }, never, NOW), 1);
    assert.deepEqual(await left(old), [old.processed, old.invalid]);
    assert.match(String(parts.lines.at(-1)!.about.reason), /its correction \S+ is REQUESTED/);
  },
);

onEachEngine(
  "a file of invalid records stays while the request for its correction waits in the queue",
  async (engine) => {
    const { pipeline, old } = await pipelineWithOldRun(engine);
    await using _ = pipeline;
    const { dlq_sha256 } = {
      dlq_sha256: (await pipeline.store.runs.filesOf([old.runId])).get(old.runId)![2]!.sha256,
    };
    await tell(pipeline.channel, {
      requestedBy: "test",
      actor: "api",
      correction: { of: old.runId, dlq_file: "data/dlq/x.jsonl", dlq_sha256, patches: [{ line: 1 }] },
    });
    assert.equal(await removeOld(partsOf(pipeline), never, NOW), 2);
    assert.deepEqual(await left(old), [old.invalid]);

    const claim = await pipeline.channel.claim("channel:run_events", { leaseMs: 30_000, signal: never });
    await pipeline.store.record([decode("channel:run_events", claim!.body)]);
    await claim!.complete();
    assert.match((await reasons(pipeline))[0]!, /its correction \S+ is REQUESTED/);
    assert.equal(await removeOld(partsOf(pipeline), never, NOW), 0);
  },
);

Deno.test("the saver removes old files at its start, and stops waiting for the next day when it is stopped", async () => {
  const { pipeline, old } = await pipelineWithOldRun();
  await using _ = pipeline;
  const stop = new AbortController();
  const parts = partsOf(pipeline, 1);
  const done = Promise.withResolvers<void>();
  const info = (text: string) => text === "retention done" && done.resolve();
  const loop = keepRemoving({ ...parts, log: { ...parts.log, info } as unknown as typeof log }, stop.signal);
  await done.promise;
  assert.deepEqual(await left(old), []);
  stop.abort();
  await loop;
});

/** Runs `deno task retention` in the folder `cwd`. */
async function retention(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const [, ...task] = tasks.retention.command.split(" ");
  const here = new URL("../", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...task.map((part: string) => part === "cli/retention.ts" ? here + part : part), ...args],
    cwd,
    env,
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("deno task retention requires a number of days", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const mistakes: [args: string[], env?: Record<string, string>][] = [
      [[]],
      [["--days", "0"]],
      [["--keep-runs", "0"]],
      [["--force"]],
      [[], { RETENTION_DAYS: "x" }],
    ];
    for (const [args, env] of mistakes) {
      assert.equal((await retention(folder, args, env)).code, 2, `${args}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

onEachEngine("deno task retention lists by default, and removes with --apply", async (engine) => {
  await using pipeline = await Delivered.open({ kind: OURS, engine });
  const { at } = pipeline.place;
  const env: Record<string, string> = "url" in at ? { DATABASE_URL: at.url } : {};
  const run = (...args: string[]) => retention(pipeline.sftp.temp, args, env);
  const old = await pipeline.run({ at: Date.now() - 40 * DAY });
  const dry = await retention(pipeline.sftp.temp, [], { ...env, RETENTION_DAYS: "30" });
  assert.equal(dry.code, 0, dry.text);
  assert.match(dry.text, /3 file\(s\) with \d+ bytes can be removed, 0 with 0 stay\.\nNothing was removed/);
  assert.equal((await left(old)).length, 3);
  assert.match((await run("--days", "100")).text, /0 file\(s\) with 0 bytes can be removed/);

  const applied = await run("--days", "30", "--apply");
  assert.equal(applied.code, 0, applied.text);
  assert.match(applied.text, /3 file\(s\) were removed/);
  assert.deepEqual(await left(old), []);

  const records = await run("--keep-runs", "1");
  assert.equal(records.code, 0, records.text);
  assert.match(
    records.text,
    /Loaded more than 1 days ago: 0 record\(s\) of 0 run\(s\) can leave the database/,
  );
});
