import assert from "node:assert/strict";
import { readPrivateKey } from "../saver/delivery/private_key.ts";
import { ensureHostKey, ensureKeys, pinHostKey } from "../local/sftp/keys.ts";
import { needing } from "../tests/support/needs.ts";

const test = needing("ssh-keygen");

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function keygen(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-read", "--allow-write"],
      new URL("keygen.ts", import.meta.url).pathname,
      ...args,
    ],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), error: text.decode(stderr) };
}

/** Returns the public half of a private key, as OpenSSH computes it. */
async function publicHalf(path: string, passphrase = ""): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("ssh-keygen", {
    args: ["-y", "-P", passphrase, "-f", path],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split(" ").slice(0, 2).join(" ").trim();
}

test("the program makes a pair of 4096 bits that OpenSSH accepts, and never a second one", async () => {
  await inFolder(async (folder) => {
    const dir = `${folder}/ssh_keys`;
    const made = await keygen("--dir", dir);
    assert.equal(made.code, 0, made.error);
    assert.equal((await Deno.stat(`${dir}/id_rsa`)).mode! & 0o777, 0o600);
    const line = await Deno.readTextFile(`${dir}/sftp_user.pub`);
    assert.equal(line, `${await publicHalf(`${dir}/id_rsa`)} sftp_user\n`);
    const listed = await new Deno.Command("ssh-keygen", { args: ["-l", "-f", `${dir}/id_rsa`] }).output();
    assert.match(new TextDecoder().decode(listed.stdout), /^4096 .*\(RSA\)/);
    const before = await Deno.readTextFile(`${dir}/id_rsa`);
    const again = await keygen("--dir", dir, "--type", "ed25519");
    assert.equal(again.code, 0);
    assert.match(again.out, /^Kept .*they are there already/);
    assert.equal(await Deno.readTextFile(`${dir}/id_rsa`), before);
  });
});

test("the program encrypts with a passphrase, and refuses to guess one", async () => {
  await inFolder(async (folder) => {
    const made = await keygen("--dir", folder, "--type", "ed25519", "--passphrase", "secret words");
    assert.equal(made.code, 0, made.error);
    assert.ok(!(made.out + made.error).includes("secret"));
    assert.match(await publicHalf(`${folder}/id_rsa`, "secret words"), /^ssh-ed25519 /);
    await assert.rejects(readPrivateKey(`${folder}/id_rsa`), /it is encrypted/);
    const requested = await keygen("--dir", `${folder}/x`, "--passphrase");
    assert.equal(requested.code, 2);
    assert.match(requested.error, /no passphrase was given/);
    await assert.rejects(Deno.stat(`${folder}/x`), Deno.errors.NotFound);
  });
});

Deno.test("an incomplete pair is completed where possible", async () => {
  await inFolder(async (folder) => {
    const { privateKey, publicKey } = await ensureKeys(folder, { type: "ed25519" });
    const line = await Deno.readTextFile(publicKey);
    await Deno.remove(publicKey);
    assert.deepEqual((await ensureKeys(folder)).made, [publicKey]);
    assert.equal(await Deno.readTextFile(publicKey), line);
    await Deno.remove(privateKey);
    const refused = await keygen("--dir", folder);
    assert.equal(refused.code, 1);
    assert.match(refused.error, /sftp_user\.pub" is there, but its private key .*id_rsa" is missing/);
    assert.equal(await Deno.readTextFile(publicKey), line);
  });
});

test("every generated ed25519 key is usable", async () => {
  await inFolder(async (folder) => {
    // Without a check before keys are stored, one in 256 would be broken.
    for (let at = 0; at < 600; at += 50) {
      await Promise.all(Array.from({ length: 50 }, async (_, i) => {
        const { publicKey } = await ensureKeys(`${folder}/${at + i}`, { type: "ed25519" });
        const [, blob] = (await Deno.readTextFile(publicKey)).split(" ");
        assert.equal(atob(blob!).length, 51);
      }));
    }
  });
});

test("pinning a host's key replaces only that host's line", async () => {
  await inFolder(async (folder) => {
    const known = `${folder}/known_hosts`;
    const first = await ensureHostKey(`${folder}/first`);
    const second = await ensureHostKey(`${folder}/second`);
    await Deno.writeTextFile(known, "# a comment\nother.example ssh-ed25519 AAAA");
    await pinHostKey(known, "127.0.0.1", 2222, first.publicKey);
    await pinHostKey(known, "127.0.0.1", 2223, first.publicKey);
    const before = await Deno.readTextFile(known);
    await pinHostKey(known, "127.0.0.1", 2222, first.publicKey);
    assert.equal(await Deno.readTextFile(known), before);
    const fingerprint = await pinHostKey(known, "127.0.0.1", 2222, second.publicKey);
    const lines = (await Deno.readTextFile(known)).trimEnd().split("\n");
    assert.deepEqual(lines.map((line) => line.split(" ")[0]), [
      "#",
      "other.example",
      "[127.0.0.1]:2223",
      "[127.0.0.1]:2222",
    ]);
    const found = await new Deno.Command("ssh-keygen", {
      args: ["-l", "-F", "[127.0.0.1]:2222", "-f", known],
    }).output();
    assert.ok(new TextDecoder().decode(found.stdout).includes(fingerprint));
  });
});

Deno.test("an invalid command line is refused, and nothing is made", async () => {
  await inFolder(async (folder) => {
    const wanted: [string[], RegExp][] = [
      [["--type", "dsa"], /--type is "dsa", wanted rsa or ed25519/],
      [["--passphrase", ""], /--passphrase is empty/],
      [["--size", "1"], /--size/],
    ];
    await Promise.all(wanted.map(async ([args, expected]) => {
      const { code, error } = await keygen("--dir", `${folder}/x`, ...args);
      assert.equal(code, 2);
      assert.match(error, expected);
    }));
    await assert.rejects(Deno.stat(`${folder}/x`), Deno.errors.NotFound);
  });
});
