/**
 * Checks after all faults: each run is complete, each record exists once in every place, and the bytes equal
 * those that a single machine produces from the source.
 *
 * @module
 */
import assert from "node:assert/strict";
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import { openStoreToRead } from "../../shared/store/open.ts";
import type { DeliveryRow, RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";
import { difference, type Losses } from "../drill/verify.ts";
import { keysIn, readObject } from "../support/s3.ts";
import { taskOf } from "../support/task.ts";
import type { Cluster } from "./cluster.ts";
import { type Control, currentOf, timeless } from "./control.ts";

/** Checks everything that the runs left. @throws AssertionError if anything other than a record is wrong. */
export async function check(
  cluster: Cluster,
  channel: Channel,
  controls: ReadonlyMap<string, Control>,
  requested: readonly string[],
): Promise<Losses & { runs: number }> {
  await nothingWaits(channel);
  await using store = (await openStoreToRead({ url: cluster.databaseUrl }))!;
  const runs = await store.runs.list({}, { limit: 10_000, offset: 0 });
  const ids = new Set(runs.map(({ run_id }) => run_id));
  assert.deepEqual(requested.filter((id) => !ids.has(id)), [], "each run that was asked for is known");
  const total = { lost: 0, twice: 0, runs: runs.length };
  const [objects, delivered] = [new Set<string>(), new Set<string>()];
  for (const run of runs) {
    assert.equal(run.status, "COMPLETED", `${run.run_id}: ${run.failure_reason}`);
    const control = controls.get(run.pipeline)!;
    const found = await compare(cluster, store, run, control, objects, delivered);
    total.lost += found.lost;
    total.twice += found.twice;
  }
  const left = (await keysIn(cluster.place)).filter((key) => !key.includes("/state/"));
  assert.deepEqual(left.filter((key) => !key.includes(".part")), [...objects].sort(), "objects in the store");
  assert.deepEqual(await filesIn(cluster.delivered), [...delivered].sort(), "files on the SFTP server");
  for (const [pipeline, { current }] of controls) {
    assert.deepEqual(await store.problemsOfCurrent(pipeline), []);
    assert.deepEqual(await currentOf(store, pipeline), current, `the current state of ${pipeline}`);
  }
  await verify(cluster);
  return total;
}

/** Compares the rows, objects and delivered files of one run with those of the control run; records their names. */
async function compare(
  cluster: Cluster,
  store: ReadStore,
  { run_id, raw_file, processed_file, dlq_file }: RunRow,
  control: Control,
  objects: Set<string>,
  delivered: Set<string>,
): Promise<Losses> {
  const total = { lost: 0, twice: 0 };
  const files = (await store.runs.filesOf([run_id])).get(run_id)!;
  assert.deepEqual(files.map(({ name }) => name), [raw_file, processed_file, dlq_file]);
  const copies = (await store.runs.deliveriesOf([run_id])).get(run_id) ?? [];
  assert.deepEqual(copies.map(timeless).sort(), control.delivered);
  for (const { remote_path } of copies) delivered.add(remote_path);
  await manifestIsLast(run_id, copies);
  for (const file of files) {
    const wanted = control.files.get(file.kind)!;
    const lines = await Array.fromAsync(store.records.unmaskedLines(file), ({ text }) => text);
    const { lost, twice } = difference(wanted.split("\n").slice(0, -1), lines);
    total.lost += lost;
    total.twice += twice;
    if (lost + twice === 0) assert.ok(lines.join("\n") === wanted.slice(0, -1), `${run_id}: order of rows`);
    const key = `${cluster.place.prefix}/${file.name}`;
    objects.add(key);
    assert.ok(await readObject(cluster.place, key) === wanted, `${key} is the control's`);
    const copy = copies.find(({ kind }) => kind === file.kind)!.remote_path;
    assert.ok(await Deno.readTextFile(copy) === wanted, `${copy} is the control's`);
  }
  return total;
}

/** Asserts that the manifest got its name after all files got theirs, as it says that they are complete. */
async function manifestIsLast(runId: string, copies: readonly DeliveryRow[]): Promise<void> {
  const named = await Promise.all(copies.map(async ({ kind, remote_path }) => {
    const { ctime } = await Deno.stat(remote_path); // the rename is the last change of the file
    return { kind, at: ctime!.getTime() };
  }));
  const manifest = named.find(({ kind }) => kind === "manifest")!;
  for (const { kind, at } of named) {
    assert.ok(
      at <= manifest.at,
      `${runId}: the manifest came ${at - manifest.at} ms before the ${kind} file`,
    );
  }
}

/** Returns the paths of all files below a folder, sorted. */
async function filesIn(folder: string): Promise<string[]> {
  const all = await Array.fromAsync(Deno.readDir(folder), async ({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? await filesIn(path) : [path];
  });
  return all.flat().sort();
}

/** Waits until all messages are settled. Asserts that no dead letter exists. */
async function nothingWaits(channel: Channel): Promise<void> {
  for (const name of Object.keys(CHANNELS)) {
    const mailbox = channel.mailbox(name);
    for (let tries = 0; (await mailbox.state()).depth > 0; tries++) {
      assert.ok(tries < 600, `messages stay on ${name}`);
      await pause(100);
    }
    assert.deepEqual(await mailbox.dead({ limit: 10 }), [], `dead letters of ${name}`);
  }
}

/** Asserts that `deno task verify` finds no difference. */
async function verify({ env }: Cluster): Promise<void> {
  const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...taskOf("verify"), "--run", "all"],
    env: Object.fromEntries(set),
    clearEnv: true,
    stdin: "null",
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  const wrong = out.split("\n").filter((line) => line !== "" && !/^run |^current state |: equal/.test(line));
  assert.equal(code, 0, `verify: ${wrong.slice(0, 20).join("\n")}\n${err}`);
}
