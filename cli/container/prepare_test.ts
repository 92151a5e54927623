import assert from "node:assert/strict";
import { KnownHosts } from "../../saver/delivery/known_hosts.ts";
import { PermanentError } from "../../shared/errors/errors.ts";
import { ensureKeys, readPublicKeys } from "../../local/sftp/keys.ts";
import { prepare, type PrepareOptions } from "./prepare.ts";

/** Creates an empty project that the test's user owns. */
async function project(): Promise<PrepareOptions & AsyncDisposable & { root: string }> {
  const root = await Deno.makeTempDir({ prefix: "prepare-" });
  for (const name of ["keys", "server", "data", "sftp_data"]) await Deno.mkdir(`${root}/${name}`);
  const { uid, gid } = await Deno.stat(root);
  return {
    root,
    keys: `${root}/keys`,
    serverKeys: `${root}/server`,
    folders: [`${root}/data`],
    shallow: [`${root}/sftp_data`],
    uid: uid!,
    gid: gid!,
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).toSorted();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await Deno.readTextFile(`${folder}/${name}`)])),
  );
}

Deno.test("an empty folder gets keys, and the saver knows the server's host key from the start", async () => {
  await using at = await project();
  const lines = await prepare(at);
  assert.equal(lines.filter((line) => line.startsWith("Made ")).length, 4);
  const [hostKey] = await readPublicKeys(`${at.keys}/ssh_host_ed25519_key.pub`);
  const known = KnownHosts.parse(await Deno.readTextFile(`${at.keys}/known_hosts`)).keysOf("sftp", 22);
  assert.deepEqual(known.map(({ blob }) => [...blob]), [[...hostKey!.getPublicSSH()]]);
  for (const name of ["id_rsa", "ssh_host_ed25519_key"]) {
    assert.equal((await Deno.stat(`${at.keys}/${name}`)).mode! & 0o777, 0o600);
  }
});

Deno.test("the server gets the public key and the host key, never the private key", async () => {
  await using at = await project();
  await ensureKeys(at.keys, { type: "ed25519" });
  await prepare(at);
  const keys = await contents(at.keys);
  assert.deepEqual(await contents(at.serverKeys), {
    "sftp_user.pub": keys["sftp_user.pub"],
    "ssh_host_ed25519_key": keys.ssh_host_ed25519_key,
  });
  assert.equal((await Deno.stat(`${at.serverKeys}/ssh_host_ed25519_key`)).mode! & 0o777, 0o600);
});

Deno.test("a second run changes nothing, and an existing key pair is used whatever its mode", async () => {
  await using at = await project();
  await ensureKeys(at.keys, { type: "ed25519" });
  const before = await contents(at.keys);
  await Deno.chmod(`${at.keys}/id_rsa`, 0o644);
  await prepare(at);
  const keys = await contents(at.keys);
  assert.deepEqual({ id_rsa: keys.id_rsa, "sftp_user.pub": keys["sftp_user.pub"] }, before);
  assert.equal((await Deno.stat(`${at.keys}/id_rsa`)).mode! & 0o777, 0o600);
  assert.deepEqual((await prepare(at)).filter((line) => line.startsWith("Made ")), []);
  assert.deepEqual(await contents(at.keys), keys);
});

Deno.test("a new host key replaces the old one in known_hosts; those of other hosts stay", async () => {
  await using at = await project();
  await ensureKeys(at.keys, { type: "ed25519" });
  await prepare(at);
  const old = await Deno.readTextFile(`${at.keys}/known_hosts`);
  const other = `elsewhere ${old.split(" ").slice(1).join(" ")}`;
  await Deno.writeTextFile(`${at.keys}/known_hosts`, `${old}${other}`);
  for (const name of ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]) {
    await Deno.remove(`${at.keys}/${name}`);
  }
  await prepare(at);
  const now = await Deno.readTextFile(`${at.keys}/known_hosts`);
  assert.ok(!now.includes(old) && now.includes(other));
  assert.equal(KnownHosts.parse(now).keysOf("sftp", 22).length, 1);
});

Deno.test("a public key without its private one is reported, and not replaced", async () => {
  await using at = await project();
  await Deno.writeTextFile(`${at.keys}/sftp_user.pub`, "ssh-ed25519 AAAA someone\n");
  await assert.rejects(
    prepare(at),
    (error) => error instanceof PermanentError && /private key ".*id_rsa" is missing/.test(error.message),
  );
  assert.deepEqual(Object.keys(await contents(at.keys)), ["sftp_user.pub"]);
});

Deno.test("links in the data folder are ignored: they could lead anywhere", async () => {
  await using at = await project();
  await Deno.mkdir(`${at.root}/outside`);
  await Deno.symlink(`${at.root}/outside`, `${at.root}/data/link`);
  await Deno.symlink(`${at.root}/missing`, `${at.root}/data/broken`);
  await ensureKeys(at.keys, { type: "ed25519" });
  await prepare(at);
  assert.ok((await Deno.lstat(`${at.root}/data/link`)).isSymlink);
});
