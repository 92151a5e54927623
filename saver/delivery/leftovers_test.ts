import assert from "node:assert/strict";
import { TransientError } from "../../shared/errors/errors.ts";
import { needing } from "../../tests/support/needs.ts";
import { MANIFEST, OPENSSH, SftpStage } from "../../tests/support/sftp.ts";
import { watchFolder } from "../../tests/support/watch.ts";
import { sftpDelivery } from "./sftp.ts";

const test = needing("sshd");

const { signal } = new AbortController();
const PART = /^\..+\.part$/;
const DAY_MS = 24 * 3_600_000;

/** Runs `code` in a separate process, with `options` and `file` as variables. */
function run(
  code: string,
  { options, file }: Record<"options" | "file", unknown>,
  permissions: string[] = ["-A"],
) {
  const from = new URL("./", import.meta.url).href;
  const script = `import { sftpDelivery } from "${from}sftp.ts";
    const options = ${JSON.stringify(options)}, file = ${JSON.stringify(file)}, manifest = ${
    JSON.stringify(MANIFEST)
  };
    const { signal } = new AbortController();
    ${code}`;
  const url = `data:application/typescript,${encodeURIComponent(script)}`;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const args = ["run", "--no-prompt", "-q", "--no-check", "--config", config, ...permissions, url];
  return new Deno.Command(Deno.execPath(), { args }).spawn();
}

async function kill(process: Deno.ChildProcess): Promise<void> {
  process.kill("SIGKILL");
  await process.status;
}

test("files left by a killed saver of a run that is never delivered are removed in a later session", async () => {
  await using stage = await SftpStage.open(OPENSSH);
  const lost = { ...await stage.file("raw", 60_000_000), name: "lost.jsonl" };
  using folder = watchFolder(stage.server.folder.disk);
  const saver = run("await sftpDelivery(options).deliver([file], manifest, { signal });", {
    options: stage.options,
    file: lost,
  });
  const part = await folder.created(PART);
  await kill(saver);
  const files = await stage.run();
  await sftpDelivery(stage.options).deliver(files, MANIFEST, { signal });
  assert.ok((await stage.names()).includes(part), "it could be another saver's that is at work");

  const twoDaysAgo = new Date(Date.now() - 2 * DAY_MS);
  await Deno.utime(`${stage.server.folder.disk}/${part}`, twoDaysAgo, twoDaysAgo);
  await sftpDelivery(stage.options).deliver(files, MANIFEST, { signal });
  assert.deepEqual(await stage.names(), [...files.map(({ name }) => name), MANIFEST.name].sort());
});

test("the folder, which may contain very many files, is listed only in the first session of a process", async () => {
  await using stage = await SftpStage.open(OPENSSH);
  const files = await stage.run();
  const planted = `.${files[0]!.name}.0123456789ab.part`;
  const delivery = sftpDelivery(stage.options);
  await delivery.deliver([], MANIFEST, { signal });
  await stage.plant(planted, "what a listing would find");
  await delivery.deliver(files, MANIFEST, { signal });
  assert.ok((await stage.names()).includes(planted));
  await sftpDelivery(stage.options).deliver(files, MANIFEST, { signal });
  assert.ok(!(await stage.names()).includes(planted));
});

test("a broken session leaves nothing behind once its server is back, without a listing", async () => {
  await using stage = await SftpStage.open(OPENSSH);
  const raw = await stage.file("raw", 60_000_000);
  const delivery = sftpDelivery(stage.options);
  await delivery.deliver([], MANIFEST, { signal });
  using folder = watchFolder(stage.server.folder.disk);
  const delivering = delivery.deliver([raw], MANIFEST, { signal });
  const part = await folder.created(/^\.raw.+\.part$/);
  await Promise.all([stage.server.kill(), assert.rejects(delivering, TransientError)]);
  assert.ok((await stage.names()).includes(part));
  await stage.server.start();
  await delivery.deliver([], MANIFEST, { signal });
  assert.deepEqual(await stage.names(), [MANIFEST.name]);
});

test("reading a file back to verify it reports progress", async () => {
  await using stage = await SftpStage.open(OPENSSH);
  const raw = await stage.file("raw", 20_000_000);
  const reported: number[] = [];
  const onProgress = (bytes: number) => reported.push(bytes);
  await sftpDelivery(stage.options).deliver([raw], MANIFEST, { signal, onProgress });
  const whileReading = reported.filter((bytes) => bytes === raw.bytes).length;
  assert.ok(whileReading > 20, `${whileReading} reports of ${reported.length}`);
});

test("a thread that dies fails all its calls, before and after", async () => {
  await using stage = await SftpStage.open(OPENSSH);
  const file = await stage.file("raw", 9_000_000);
  // without permission to read its module, the thread fails on start
  const process = run(
    `const delivery = sftpDelivery(options);
     delivery.sendAhead([file]);
     const failure = await delivery.deliver([file], manifest, { signal }).catch((error) => error);
     await delivery[Symbol.asyncDispose]();
     Deno.exit(failure.name === "TransientError" && /thread ended/.test(failure.message) ? 0 : 1);`,
    { options: stage.options, file },
    [`--allow-read=${stage.temp}`, "--allow-net=127.0.0.1"],
  );
  assert.equal((await process.status).code, 0);
});
