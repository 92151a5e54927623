import assert from "node:assert/strict";
import { TransientError } from "../../shared/errors/errors.ts";
import { MANIFEST, OPENSSH, SftpStage } from "../../tests/support/sftp.ts";
import { watchFolder } from "../../tests/support/watch.ts";
import { sftpDelivery } from "./sftp.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("sshd");

const signal = new AbortController().signal;
const PART = /^\..+\.part$/;
const LARGE = 9_000_000;

async function inodeOf({ server }: SftpStage, name: string): Promise<number> {
  return (await Deno.stat(`${server.folder.disk}/${name}`)).ino!;
}

test("files that were sent ahead are not sent again, and get their names with the delivery", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  using folder = watchFolder(pipeline.server.folder.disk);
  const raw = await pipeline.file("raw", LARGE);
  const others = [await pipeline.file("processed", LARGE), await pipeline.file("invalid", 10)];
  assert.ok(delivery.sendAhead([raw]));
  assert.ok(delivery.sendAhead(others));
  assert.equal(delivery.sendAhead(others), undefined, "two at a time");
  const [rawPart, otherPart] = [
    await folder.created(/^\.raw.+\.part$/),
    await folder.created(/^\.processed.+\.part$/),
  ];
  const inodes = await Promise.all([rawPart, otherPart].map((name) => inodeOf(pipeline, name)));
  assert.deepEqual(
    (await pipeline.names()).filter((name) => !PART.test(name)),
    [],
    "no file has its name yet",
  );

  const reported: number[] = [];
  const files = [raw, ...others];
  const delivered = await delivery.deliver(files, MANIFEST, {
    signal,
    onProgress: (bytes) => reported.push(bytes),
  });
  assert.deepEqual(delivered.map(({ name, skipped }) => [name, skipped]), [
    ...files.map(({ name }) => [name, false]),
    [MANIFEST.name, false],
  ]);
  assert.equal(reported.at(-1), 2 * LARGE + 10 + MANIFEST.text.length);
  assert.deepEqual(await pipeline.names(), [...files.map(({ name }) => name), MANIFEST.name].sort());
  for (const file of files) assert.deepEqual(await pipeline.read(file.name), await Deno.readFile(file.path));
  assert.deepEqual(
    await Promise.all([raw, others[0]!].map(({ name }) => inodeOf(pipeline, name))),
    inodes,
    "the files that were sent ahead were renamed, and sent no second time",
  );
});

test("a file that was sent ahead and isn't needed is removed, whole or not", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  const raw = await pipeline.file("raw", 10 * LARGE);
  {
    await using delivery = sftpDelivery(pipeline.options);
    using folder = watchFolder(pipeline.server.folder.disk);
    const ahead = delivery.sendAhead([raw])!;
    await folder.created(PART);
    await ahead.forget();
    await ahead.forget();
    assert.deepEqual(await pipeline.names(), []);
    assert.ok(delivery.sendAhead([raw]));
  }
  assert.deepEqual(await pipeline.names(), [], "nor is anything left when the service ends");
});

test("another file than the one sent ahead is sent, and the first one stays until it is forgotten", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  const before = await pipeline.file("raw", LARGE);
  const ahead = delivery.sendAhead([before])!;
  const raw = await pipeline.file("raw", LARGE);
  await delivery.deliver([raw], MANIFEST, { signal }).catch((error) => {
    // the cleanup of one delivery may remove the other's temporary file; the next attempt runs alone
    assert.ok(error instanceof TransientError, String(error));
    return delivery.deliver([raw], MANIFEST, { signal });
  });
  await ahead.forget();
  assert.deepEqual(await pipeline.names(), [MANIFEST.name, raw.name].sort());
  assert.deepEqual(await pipeline.read(raw.name), await Deno.readFile(raw.path));
});

test("if the server died since, the delivery sends everything itself", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  using folder = watchFolder(pipeline.server.folder.disk);
  const raw = await pipeline.file("raw", 6 * LARGE);
  delivery.sendAhead([raw]);
  await folder.created(PART);
  await pipeline.server.kill();
  await assert.rejects(delivery.deliver([raw], MANIFEST, { signal }), TransientError);
  await pipeline.server.start();
  const [delivered] = await delivery.deliver([raw], MANIFEST, { signal });
  assert.equal(delivered!.skipped, false);
  assert.deepEqual(await pipeline.names(), [MANIFEST.name, raw.name].sort());
  assert.deepEqual(await pipeline.read(raw.name), await Deno.readFile(raw.path));
});

test("a connection lost while it waited costs the delivery only time", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  using folder = watchFolder(pipeline.server.folder.disk);
  const raw = await pipeline.file("raw", LARGE);
  delivery.sendAhead([raw]);
  await folder.created(PART);
  await pipeline.server.kill();
  await pipeline.server.start();
  const [delivered] = await delivery.deliver([raw], MANIFEST, { signal });
  assert.equal(delivered!.skipped, false);
  assert.deepEqual(await pipeline.names(), [MANIFEST.name, raw.name].sort());
});

test("an abort during the delivery also removes files that were sent ahead", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  const files = [await pipeline.file("raw", LARGE), await pipeline.file("processed", 4 * LARGE)];
  delivery.sendAhead([files[0]!]);
  delivery.sendAhead([files[1]!]);
  const stop = new AbortController();
  const reason = new Error("the run was cancelled");
  const delivering = delivery.deliver(files, MANIFEST, { signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(delivering, (error) => error === reason);
  assert.deepEqual(await pipeline.names(), []);
});

test("small files are not sent ahead", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using delivery = sftpDelivery(pipeline.options);
  assert.equal(delivery.sendAhead(await pipeline.run()), undefined);
});
