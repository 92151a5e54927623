import assert from "node:assert/strict";
import { PermanentError } from "../../shared/errors/errors.ts";
import { readPrivateKey } from "./private_key.ts";
import { needing } from "../../tests/support/needs.ts";

const test = needing("ssh-keygen");

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function generate(path: string, ...args: string[]): Promise<string> {
  const command = new Deno.Command("ssh-keygen", { args: ["-q", "-f", path, ...args], stdout: "null" });
  assert.ok((await command.output()).success);
  return path;
}

async function refusal(path: string, passphrase?: string): Promise<string> {
  try {
    await readPrivateKey(path, passphrase);
  } catch (error) {
    assert.ok(error instanceof PermanentError, String(error));
    assert.ok(error.message.includes(path), error.message);
    if (passphrase) assert.ok(!error.message.includes(passphrase), "the passphrase stays secret");
    return error.message;
  }
  throw new Error("the key was taken");
}

test("keys in OpenSSH's and in PEM format are read, with and without passphrase", async () => {
  await inFolder(async (folder) => {
    for (const type of ["rsa", "ed25519", "ecdsa"]) {
      for (const format of type === "ed25519" ? ["RFC4716"] : ["RFC4716", "PEM"]) {
        for (const passphrase of ["", "secret words"]) {
          const path = await generate(
            `${folder}/${type}-${format}-${passphrase.length}`,
            ...["-t", type, "-N", passphrase],
            ...(format === "PEM" ? ["-m", "PEM"] : []),
            ...(type === "rsa" ? ["-b", "2048"] : []),
          );
          const key = await readPrivateKey(path, passphrase || undefined);
          const [, blob] = (await Deno.readTextFile(`${path}.pub`)).split(" ");
          assert.equal(key.getPublicSSH().toString("base64"), blob);
          if (passphrase === "") continue;
          assert.match(await refusal(path), /it is encrypted\. Put its passphrase into SFTP_KEY_PASSPHRASE/);
          assert.match(await refusal(path, "other words"), /SFTP_KEY_PASSPHRASE doesn't open it/);
        }
      }
    }
  });
});

test("an unusable private key is refused with what to do", async () => {
  await inFolder(async (folder) => {
    const path = await generate(`${folder}/key`, "-t", "ed25519", "-N", "");
    assert.match(await refusal(`${folder}/missing`), /there is no such file/);
    assert.match(await refusal(folder), /wanted a file in a folder/);
    assert.match(await refusal(`${path}.pub`), /it is a public key/);
    await Deno.writeTextFile(`${folder}/text`, "hello");
    assert.match(await refusal(`${folder}/text`), /wanted OpenSSH's format/);
    await Deno.writeTextFile(`${folder}/half`, (await Deno.readTextFile(path)).slice(0, 150));
    assert.match(await refusal(`${folder}/half`), /wanted OpenSSH's format/);
    await Deno.writeTextFile(
      `${folder}/escaped`,
      (await Deno.readTextFile(path)).replaceAll("\n", "\\n"),
    );
    assert.match(await refusal(`${folder}/escaped`), /wanted OpenSSH's format/);
    const pkcs8 = await generate(`${folder}/pkcs8`, "-t", "rsa", "-b", "2048", "-N", "", "-m", "PKCS8");
    assert.match(await refusal(pkcs8), /ssh-keygen -p -f FILE/);
  });
});
