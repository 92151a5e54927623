import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { Users } from "../local/source/users.ts";
import type { Handling } from "../shared/actor/actor.ts";
import type { Progress } from "../shared/channel/channel.ts";
import { compose } from "../shared/actor/message.ts";
import { newRunId, runIdOfFile } from "../shared/contracts/ids.ts";
import { Detail, Phase1Complete, Phase2Complete } from "../shared/contracts/messages.ts";
import { identityOf } from "../shared/pipeline/identity.ts";
import { usersPlan } from "../tests/support/users.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { LocalFiles } from "../shared/files/local.ts";
import { readLookups } from "./lookup.ts";
import { transformer } from "./transformer.ts";
import { heapOf } from "../cli/services.ts";

const LOOKUP = new URL("../pipelines/departments.csv", import.meta.url).pathname;
const SCRIPT = new URL("../tests/support/transform_process.ts", import.meta.url).pathname;
const RAW = "data/raw_users/records_20261124_030007.jsonl";
const PROCESSED = "data/processed_users/etl_20261124_030007.jsonl";
const DEAD = "data/dlq/invalid_users_20261124_030007.jsonl";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const count = (text: string) => text.split("\n").length - 1;

function usersText(users: number, bad = 0): string {
  const all = new Users(bad, 1);
  return Array.from({ length: users }, (_, i) => `${all.json(i)}\n`).join("");
}

/**
 * A folder that stands for the working directory, with a raw file and transformers in it. All paths are
 * relative to it.
 */
async function startFolder(raw: string, name = RAW) {
  const folder = await Deno.makeTempDir();
  const path = (relative: string) => `${folder}/${relative}`;
  await Deno.mkdir(path("data/raw_users"), { recursive: true });
  await Deno.writeTextFile(path(name), raw);
  const folderLookups = await readLookups(usersPlan, { readEnv: () => LOOKUP });
  return {
    folder,
    path,
    lookup: folderLookups,
    read: (relative: string) => Deno.readTextFile(path(relative)),
    async handle(
      change: Partial<Phase1Complete> = {},
      handling: Partial<Handling> = {},
      lookups = folderLookups,
    ) {
      const message = Phase1Complete.parse({ raw_file: name, ...change });
      const here = { ...message, raw_file: path(message.raw_file) };
      const done = await transformer({
        files: new LocalFiles(path("data")),
        feedOf: () => ({ plan: usersPlan, lookups }),
      }).handle(
        here,
        {
          attempt: 1,
          signal: new AbortController().signal,
          log: getLogger("test"),
          progress: () => {},
          tell: () => Promise.resolve(),
          ...handling,
        },
      );
      const [output] = done.outputs;
      assert.ok(done.outputs.length === 1 && output!.to === "channel:phase2_complete");
      const relative = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll(`${folder}/`, ""));
      const { body } = compose(output!.to, output!.name, relative(output!.fields), { id: "parent" });
      return { detail: Detail.parse(relative(done.detail)), message: Phase2Complete.parse(JSON.parse(body)) };
    },
    /** Returns the files of runs, without the receipts in `state`. */
    files: async () =>
      (await filesUnder(path("data"))).map((found) => found.slice(folder.length + 1)).filter((found) =>
        !found.startsWith("data/state/")
      ),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function filesUnder(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    found.push(...isDirectory ? await filesUnder(path) : [path]);
  }
  return found.sort();
}

/** Transforms in another process, and kills it after a number of records. Returns its memory after each batch. */
async function transformElsewhere(cwd: string, killAfter = Infinity) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      heapOf("transformer"), // as the service is started
      "--allow-read",
      "--allow-write=data",
      "--allow-sys=statfs",
      SCRIPT,
      RAW,
      LOOKUP,
      String(killAfter),
    ],
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const memory: [records: number, bytes: number][] = [];
  let killed = false;
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (text + chunk).split("\n");
    text = lines.pop()!;
    for (const line of lines) memory.push(line.split(" ").map(Number) as [number, number]);
    if (!killed && (memory.at(-1)?.[0] ?? 0) >= killAfter) {
      killed = true;
      child.kill("SIGKILL");
    }
  }
  await child.stdin.close();
  const { success } = await child.status;
  assert.equal(success, !killed);
  return memory;
}

Deno.test("a raw file becomes a processed and a dead-letter file, and a message that names them", async () => {
  const raw = usersText(208, 0.1);
  await using folder = await startFolder(raw);
  const run_id = newRunId();
  const link = { correction_of: newRunId(), corrects: [3, 5], source: "https://dummyjson.com/users" };
  const progress: unknown[] = [];
  const { message, detail } = await folder.handle(
    { run_id, record_count: 208, raw_sha256: sha256(raw), ...link },
    { progress: (reported) => progress.push(reported) },
  );
  assert.deepEqual(await folder.files(), [DEAD, PROCESSED, RAW]);
  const processed = await folder.read(PROCESSED);
  const dead = await folder.read(DEAD);
  assert.deepEqual([count(processed), count(dead)], [188, 20]);
  const hashes = { raw_sha256: sha256(raw), processed_sha256: sha256(processed), dlq_sha256: sha256(dead) };
  const { id, version, published_at, ...content } = message;
  assert.deepEqual([id, version, typeof published_at], ["parent/phase2", 1, "string"]);
  assert.deepEqual(content, {
    raw_file: RAW,
    processed_file: PROCESSED,
    dlq_file: DEAD,
    valid_count: 188,
    invalid_count: 20,
    run_id,
    pipeline: "users",
    ...hashes,
    ...link,
    lookup_sha256: folder.lookup.sha256,
    rules_sha256: identityOf(usersPlan),
    fields: Object.keys(JSON.parse(raw.split("\n")[0]!)),
  });
  const { reasons, types, ...others } = detail;
  assert.deepEqual(others, {
    records: 208,
    valid: 188,
    invalid: 20,
    lookup_gaps: [],
    processed_file: PROCESSED,
    dlq_file: DEAD,
    ...hashes,
    raw_bytes: new TextEncoder().encode(raw).length,
    processed_bytes: (await Deno.stat(folder.path(PROCESSED))).size,
    dlq_bytes: (await Deno.stat(folder.path(DEAD))).size,
  });
  assert.deepEqual((types as unknown[])[0], { field: "id", types: ["string", "number", "null"] });
  assert.deepEqual((reasons as unknown[])[0], { reason: "Not an object", count: 4 });
  assert.deepEqual(progress.at(-1), { done: 208, total: 208, unit: "records" });
  for (const line of processed.split("\n").slice(0, -1)) {
    assert.match(line, /,"department_code":"[A-Z]{2,3}"}$/);
  }
});

Deno.test("a message of another program that names only the file is handled in one pass and answered completely", async () => {
  const raw = usersText(5);
  await using folder = await startFolder(raw, "data/raw_users/theirs.jsonl");
  const { message } = await folder.handle();
  assert.equal(message.processed_file, "data/processed_users/etl_theirs.jsonl");
  assert.equal(message.dlq_file, "data/dlq/invalid_users_theirs.jsonl");
  assert.equal(message.raw_sha256, sha256(raw));
  assert.equal(message.run_id, runIdOfFile("data/raw_users/theirs.jsonl"));
});

Deno.test("a file without bad records gets an empty dead-letter file, an empty one two empty files", async () => {
  for (const [raw, valid] of [[usersText(3), 3], ["", 0]] as const) {
    await using folder = await startFolder(raw);
    const { message } = await folder.handle({ record_count: valid });
    assert.deepEqual([message.valid_count, message.invalid_count, message.dlq_sha256], [
      valid,
      0,
      sha256(""),
    ]);
    assert.equal((await Deno.stat(folder.path(DEAD))).size, 0);
  }
});

Deno.test("a repeated message gives the same message and bytes", async () => {
  await using folder = await startFolder(usersText(1_000, 0.3));
  const first = await folder.handle();
  const texts = await Promise.all([PROCESSED, DEAD].map(folder.read));
  const second = await folder.handle({}, { attempt: 2 });
  assert.deepEqual(second.detail, first.detail);
  assert.deepEqual({ ...second.message, published_at: 0 }, { ...first.message, published_at: 0 });
  assert.deepEqual(await Promise.all([PROCESSED, DEAD].map(folder.read)), texts);
});

/** Writes a lookup file with another code for Engineering. */
async function changedLookup(folder: { path(relative: string): string }) {
  const path = folder.path("departments.csv");
  await Deno.writeTextFile(path, (await Deno.readTextFile(LOOKUP)).replaceAll("ENG", "NGN"));
  return await readLookups(usersPlan, { readEnv: () => path });
}

Deno.test("announced files stay unchanged, though the lookup file has changed since", async () => {
  await using folder = await startFolder(usersText(300, 0.3));
  const first = await folder.handle();
  const texts = await Promise.all([PROCESSED, DEAD].map(folder.read));
  const second = await folder.handle({}, {}, await changedLookup(folder));
  assert.deepEqual(second.detail, first.detail);
  assert.deepEqual({ ...second.message, published_at: 0 }, { ...first.message, published_at: 0 });
  assert.deepEqual(await Promise.all([PROCESSED, DEAD].map(folder.read)), texts);
});

Deno.test("a processed or dead-letter file that is missing or damaged is created again", async () => {
  await using folder = await startFolder(usersText(300, 0.3));
  await folder.handle();
  const texts = await Promise.all([PROCESSED, DEAD].map(folder.read));
  for (const file of [PROCESSED, DEAD]) {
    await Deno.remove(folder.path(file));
    await folder.handle();
    await Deno.writeTextFile(folder.path(file), "damaged\n");
    await folder.handle();
    assert.deepEqual(await Promise.all([PROCESSED, DEAD].map(folder.read)), texts);
  }
  await Deno.remove(folder.path(PROCESSED));
  const other = await folder.handle({}, {}, await changedLookup(folder));
  assert.equal(sha256(await folder.read(PROCESSED)), other.message.processed_sha256);
  assert.notEqual(await folder.read(PROCESSED), texts[0]);
});

for (
  const [what, change, says] of [
    [
      "was changed since it was announced",
      { raw_sha256: sha256("another") },
      /its SHA-256 is [0-9a-f]{64}, but/,
    ],
    [
      "has fewer records than announced",
      { record_count: 11 },
      /it has 10 records, but 11 were announced\. Put/,
    ],
    ["is missing", { raw_file: "data/raw_users/missing.jsonl" }, /it isn't there/],
    [
      "is outside of the data directory",
      { raw_file: "elsewhere/x.jsonl" },
      /wanted a path inside .*\/data\//,
    ],
  ] as const
) {
  Deno.test(`a raw file that ${what} is refused permanently, and nothing is left of the try`, async () => {
    await using folder = await startFolder(usersText(10));
    await assert.rejects(folder.handle(change), (error: unknown) => {
      assert.ok(error instanceof PermanentError);
      assert.match(error.message, says);
      return true;
    });
    assert.deepEqual(await folder.files(), [RAW]);
  });
}

Deno.test("cancelled work ends midway through a file with the signal's reason, and leaves nothing", async () => {
  await using folder = await startFolder(usersText(2_000));
  const stop = new AbortController();
  const reason = new Error("the lease is lost");
  let last = 0;
  const progress = ({ done }: Progress) => {
    last = done;
    stop.abort(reason);
  };
  await assert.rejects(folder.handle({}, { signal: stop.signal, progress }), reason);
  assert.ok(last > 0 && last < 2_000);
  assert.deepEqual(await folder.files(), [RAW]);
});

Deno.test("timers run while a file is transformed, so that leases can be renewed", async () => {
  await using folder = await startFolder(usersText(20_000)); // long enough on a busy machine too
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await folder.handle().finally(() => clearInterval(timer));
  assert.ok(ticks >= 5, `${ticks} ticks`);
});

Deno.test("a transformer killed midway through a file leaves only part files, and the repeat gives the files of an uninterrupted run", async () => {
  await using folder = await startFolder(usersText(20_000, 0.1));
  const { message } = await folder.handle();
  await Deno.remove(folder.path(PROCESSED));
  await Deno.remove(folder.path(DEAD));
  await transformElsewhere(folder.folder, 5_000);
  assert.deepEqual(await folder.files(), [`${DEAD}.part`, `${PROCESSED}.part`, RAW]);
  await transformElsewhere(folder.folder);
  assert.deepEqual(await folder.files(), [DEAD, PROCESSED, RAW]);
  assert.equal(sha256(await folder.read(PROCESSED)), message.processed_sha256);
  assert.equal(sha256(await folder.read(DEAD)), message.dlq_sha256);
});

Deno.test("memory doesn't grow with the file: 200,000 records, 280 MB", async () => {
  await using folder = await startFolder("");
  const part = new TextEncoder().encode(usersText(2_000, 0.1));
  {
    using raw = await Deno.open(folder.path(RAW), { write: true });
    for (let i = 0; i < 100; i++) {
      for (let at = 0; at < part.length;) at += await raw.write(part.subarray(at));
    }
  }
  const memory = await transformElsewhere(folder.folder);
  assert.equal(memory.at(-1)![0], 200_000);
  const most = (from: number, to: number) =>
    Math.max(...memory.filter(([records]) => records > from && records <= to).map(([, bytes]) => bytes));
  const [early, late] = [most(0, 50_000), most(150_000, 200_000)];
  assert.ok(late < 250e6, `${late} bytes`);
  assert.ok(late - early < 60e6, `${early} bytes after a quarter, ${late} at the end`);
});
