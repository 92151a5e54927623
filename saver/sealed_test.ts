import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { Decrypter, generateIdentity, identityToRecipient } from "age-encryption";
import { Delivered } from "../tests/support/delivered.ts";
import { type Seal, sealedFolder } from "./courier.ts";
import { seal } from "./delivery/seal.ts";
import { removeOld } from "./retention.ts";
import { needing } from "../tests/support/needs.ts";

const test = needing("sshd", "age");

const DAY = 24 * 3600 * 1000;
const never = new AbortController().signal;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function recipient(): Promise<{ secret: string; sealFor: Seal }> {
  const secret = await generateIdentity();
  const recipients = [await identityToRecipient(secret)];
  return { secret, sealFor: (file, place, signal) => seal(file, recipients, place, signal) };
}

test("a run is delivered encrypted: the key opens each file, the encrypted size and checksum are recorded, and a repeat sends nothing", async () => {
  const { secret, sealFor } = await recipient();
  await using pipeline = await Delivered.open({ seal: sealFor });
  const made = await pipeline.run();
  const { disk } = pipeline.sftp.server.folder;
  const rows = (await pipeline.store.runs.deliveriesOf([made.runId])).get(made.runId)!;
  for (const [kind, path] of Object.entries(made).filter(([kind]) => kind !== "runId")) {
    const row = rows.find((row) => row.kind === kind)!;
    assert.equal(row.name, `${path.split("/").at(-1)}.age`);
    const there = await Deno.readFile(`${disk}/${row.name}`);
    const decrypter = new Decrypter();
    decrypter.addIdentity(secret);
    const plain = await Deno.readFile(path);
    assert.deepEqual(await decrypter.decrypt(there), plain);
    assert.deepEqual(
      [row.encrypted, row.sha256, row.sealed_sha256, row.bytes],
      [1, sha256(plain), sha256(there), there.length],
    );
  }
  const names = (await Array.fromAsync(Deno.readDir(disk))).map(({ name }) => name);
  assert.equal(names.filter((name) => name.endsWith(".age")).length, 3);
  assert.equal(names.length, 4, "and the manifest, which holds no record");
  assert.deepEqual(await pipeline.deliver(made.runId), { state: "DELIVERED", files: 4, sent: 0, bytes: 0 });
});

test("a server that lost an encrypted file gets the same bytes again", async () => {
  const { sealFor } = await recipient();
  await using pipeline = await Delivered.open({ seal: sealFor });
  const made = await pipeline.run();
  const [row] = (await pipeline.store.runs.deliveriesOf([made.runId])).get(made.runId)!;
  await Deno.remove(row!.remote_path);
  assert.equal((await pipeline.deliver(made.runId)).sent, 1);
  assert.equal(sha256(await Deno.readFile(row!.remote_path)), row!.sealed_sha256);
});

test("retention also removes encrypted files of a run, and delivering it again still finds it on the server", async () => {
  const { sealFor } = await recipient();
  await using pipeline = await Delivered.open({ seal: sealFor });
  const made = await pipeline.run({ at: Date.now() - 40 * DAY });
  const sealed = sealedFolder(pipeline.files, made.runId);
  assert.equal((await Array.fromAsync(Deno.readDir(sealed))).length, 3);
  const { store, files, channel } = pipeline;
  assert.equal(await removeOld({ store, files, channel, days: 30, log: getLogger("test") }, never), 3);
  await assert.rejects(Deno.stat(sealed), Deno.errors.NotFound);
  assert.equal((await pipeline.deliver(made.runId)).sent, 0);
});
