import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { PermanentError } from "../../shared/errors/errors.ts";
import { seal } from "./seal.ts";
import { sftpDelivery } from "./sftp.ts";
import { MANIFEST, OURS, SftpStage } from "../../tests/support/sftp.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("age");

/** Creates a key pair with the program age. */
async function identity(path: string): Promise<{ path: string; recipient: string }> {
  assert.ok((await new Deno.Command("age-keygen", { args: ["-o", path], stderr: "null" }).output()).success);
  const { stdout } = await new Deno.Command("age-keygen", { args: ["-y", path] }).output();
  return { path, recipient: new TextDecoder().decode(stdout).trim() };
}

/** Returns the SHA-256 of the file as the program age decrypts it. */
async function decrypted(file: string, key: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("age", { args: ["-d", "-i", key, file] })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return createHash("sha256").update(stdout).digest("hex");
}

const never = new AbortController().signal;

test("encrypted files are delivered as NAME.age, each recipient can read them, and a repeat sends nothing", async () => {
  await using pipeline = await SftpStage.open(OURS);
  const [one, two] = [await identity(`${pipeline.temp}/one`), await identity(`${pipeline.temp}/two`)];
  const files = await pipeline.run();
  const deliver = async () => {
    const sealed = [];
    for (const file of files) {
      sealed.push(await seal(file, [one.recipient, two.recipient], pipeline.sealed, never));
    }
    return await sftpDelivery(pipeline.options).deliver(sealed, MANIFEST, { signal: never });
  };
  const delivered = await deliver();
  assert.deepEqual(await pipeline.names(), [...files.map(({ name }) => `${name}.age`), MANIFEST.name].sort());
  for (const [i, file] of files.entries()) {
    const { name, sha256, bytes, encrypted, skipped } = delivered[i]!;
    assert.deepEqual([name, sha256, encrypted, skipped], [`${file.name}.age`, file.sha256, true, false]);
    const there = `${pipeline.server.folder.disk}/${name}`;
    assert.equal((await Deno.stat(there)).size, bytes);
    for (const { path } of [one, two]) assert.equal(await decrypted(there, path), file.sha256);
  }
  assert.equal(delivered[3]!.encrypted, false);
  assert.deepEqual((await deliver()).map(({ skipped }) => skipped), [true, true, true, true]);
});

test("other content or other recipients give another encrypted file", async () => {
  await using pipeline = await SftpStage.open(OURS);
  const [one, two] = [await identity(`${pipeline.temp}/one`), await identity(`${pipeline.temp}/two`)];
  const file = await pipeline.file("raw", 1_000);
  const { sealed } = pipeline;
  const first = await seal(file, [one.recipient], sealed, never);
  assert.deepEqual(await seal(file, [one.recipient], sealed, never), first);
  assert.notEqual((await seal(file, [two.recipient], sealed, never)).path, first.path);
  assert.notEqual(
    (await seal(await pipeline.file("raw", 1_000), [one.recipient], sealed, never)).path,
    first.path,
  );
});

test("a failed encryption is reported without secrets, and nothing is left behind", async () => {
  await using pipeline = await SftpStage.open(OURS);
  const { path, recipient } = await identity(`${pipeline.temp}/one`);
  const file = await pipeline.file("raw", 1_000);
  const { sealed } = pipeline;
  const secret = (await Deno.readTextFile(path)).match(/AGE-SECRET-KEY-\S+/)![0];
  await assert.rejects(seal(file, [recipient, secret], sealed, never), (error: Error) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /recipient 2 of SFTP_ENCRYPT_TO/);
    assert.ok(!JSON.stringify([error.message, error.stack, error.cause]).includes(secret.slice(16)));
    return true;
  });
  await assert.rejects(seal(file, [], sealed, never), PermanentError);
  await assert.rejects(seal(file, [recipient], sealed, AbortSignal.abort(new Error("stop"))), /stop/);
  await Deno.writeFile(file.path, randomBytes(1_000));
  await assert.rejects(seal(file, [recipient], sealed, never), /was changed or truncated since/);
  await Deno.remove(file.path);
  await assert.rejects(seal(file, [recipient], sealed, never), /it isn't there/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(sealed.folder)), []);
});
