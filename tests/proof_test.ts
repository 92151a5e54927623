import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Item } from "../cli/verify/finding.ts";
import { startPipeline } from "./support/test_pipeline.ts";
import { needing } from "./support/needs.ts";

const ageTest = needing("sshd", "age");

const test = needing("sshd");

/** Creates a key pair with the program age. */
async function identity(path: string): Promise<string> {
  assert.ok((await new Deno.Command("age-keygen", { args: ["-o", path], stderr: "null" }).output()).success);
  const { stdout } = await new Deno.Command("age-keygen", { args: ["-y", path] }).output();
  return new TextDecoder().decode(stdout).trim();
}

const itemsOf = (stdout: string): Item[] => stdout.trim().split("\n").map((line) => JSON.parse(line));
const wrongOf = (items: Item[]) =>
  items.filter(({ result }) => result !== "equal").map(({ place, file, result }) =>
    `${place} ${file} ${result}`
  );

test("a run of the real services is proven by deno task verify, and a byte changed on the server is found", async () => {
  await using pipeline = await startPipeline({ sftp: "openssh", users: 500, bad: 0.1 });
  await pipeline.start("extractor", "transformer", "saver");
  const { run_id } = await pipeline.completed(await pipeline.tell());
  const good = await pipeline.task("verify", "--run", "latest", "--json");
  assert.equal(good.code, 0, good.stdout + good.stderr);
  assert.deepEqual(wrongOf(itemsOf(good.stdout)), []);
  assert.equal(itemsOf(good.stdout).length, 18);
  assert.equal(itemsOf(good.stdout).at(-1)!.place, "current");

  const raw = (await pipeline.remoteFiles()).find((name) => name.startsWith("records_"))!;
  const bytes = await Deno.readFile(`${pipeline.site!.disk}/${raw}`);
  bytes[1000]! ^= 1;
  await Deno.writeFile(`${pipeline.site!.disk}/${raw}`, bytes);
  const bad = await pipeline.task("verify", "--run", run_id, "--json");
  assert.equal(bad.code, 1);
  assert.deepEqual(wrongOf(itemsOf(bad.stdout)), ["server raw differs"]);
});

ageTest(
  "with SFTP_ENCRYPT_TO the real saver delivers files that age opens, and verify proves them without the key",
  async () => {
    await using pipeline = await startPipeline({ sftp: "openssh", users: 300, bad: 0.1 });
    const key = `${pipeline.folder}/key.txt`;
    pipeline.env.SFTP_ENCRYPT_TO = await identity(key);
    await pipeline.start("extractor", "transformer", "saver");
    await pipeline.completed(await pipeline.tell());
    const [raw] = (await pipeline.dataFiles()).filter((name) => name.startsWith("data/raw_users/"));
    const there = `${pipeline.site!.disk}/${raw!.split("/").at(-1)}.age`;
    const { success, stdout } = await new Deno.Command("age", { args: ["-d", "-i", key, there] }).output();
    assert.ok(success);
    assert.equal(new TextDecoder().decode(stdout), await Deno.readTextFile(`${pipeline.folder}/${raw}`));
    const { code, stdout: logged } = await pipeline.task("verify", "--run", "latest", "--json");
    assert.equal(code, 0, logged);
    const remote = itemsOf(logged).filter(({ place }) => place === "server");
    assert.equal(remote.filter(({ detail }) => detail.endsWith(", encrypted")).length, 3);
  },
);

ageTest("an invalid recipient in SFTP_ENCRYPT_TO stops the saver at its start, and isn't shown", async () => {
  await using pipeline = await startPipeline({ sftp: "local" });
  const key = `${pipeline.folder}/key.txt`;
  const recipient = await identity(key);
  const secret = (await Deno.readTextFile(key)).match(/AGE-SECRET-KEY-\S+/)![0];
  const typo = recipient.slice(0, -1) + (recipient.endsWith("q") ? "p" : "q");
  for (const wrong of [secret, typo, `${recipient},${typo}`, ","]) {
    pipeline.env.SFTP_ENCRYPT_TO = wrong;
    const { code, stdout, stderr } = await pipeline.task("saver");
    const text = stdout + stderr;
    assert.equal(code, 2, text);
    assert.match(text, /SFTP_ENCRYPT_TO/);
    assert.ok(!text.includes(secret.slice(16)) && !text.includes(typo.slice(4)), text);
  }
});

test("with RETENTION_DAYS the real saver removes old proven files at its start; verify distinguishes them from lost ones", async () => {
  await using pipeline = await startPipeline({ sftp: "openssh", users: 100 });
  await pipeline.start("extractor", "transformer", "saver");
  const { run_id } = await pipeline.completed(await pipeline.tell());
  await pipeline.stop("saver");
  {
    using database = new DatabaseSync(`${pipeline.folder}/database/data.db`);
    const then = "2020-01-01T00:00:00.000Z";
    database.prepare("UPDATE etl_runs SET run_timestamp = ?").run(then);
    database.prepare("UPDATE deliveries SET delivered_at = ?").run(then);
  }
  pipeline.env.RETENTION_DAYS = "30";
  await pipeline.start("saver");
  await pipeline.logged(/retention done/, "saver");
  assert.deepEqual(await pipeline.dataFiles(), []);
  const { code, stdout } = await pipeline.task("verify", "--run", run_id, "--json");
  assert.equal(code, 0, stdout);
  assert.deepEqual(wrongOf(itemsOf(stdout)), [
    "local raw removed",
    "local processed removed",
    "local invalid removed",
    "transform processed skipped",
    "transform invalid skipped",
  ]);
});
