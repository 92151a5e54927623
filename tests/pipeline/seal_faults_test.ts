import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Decrypter, generateIdentity, identityToRecipient } from "age-encryption";
import { TransientError } from "../../shared/errors/errors.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { seal } from "../../saver/delivery/seal.ts";
import { failWritesAt, type Fault, FAULTS } from "../support/failing_writes.ts";

Deno.test("an encrypted copy is complete or absent with ENOSPC and EIO at every write, and the next try makes it", async () => {
  const identity = await generateIdentity();
  const recipients = [await identityToRecipient(identity)];
  const bytes = new Uint8Array(randomBytes(400_000));
  const { signal } = new AbortController();
  for (const fault of Object.keys(FAULTS) as Fault[]) {
    for (let at = 1, isReached = true; isReached; at++) {
      const folder = await Deno.makeTempDir();
      const where = `${fault} at step ${at}`;
      try {
        const files = new LocalFiles(folder);
        const path = files.path("raw_users", "plain");
        await Deno.mkdir(`${folder}/raw_users`);
        await Deno.writeFile(path, bytes);
        const place = { files, folder: files.path("sealed", "run") };
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        const file = { kind: "raw", path, name: "plain", sha256, bytes: bytes.length } as const;
        {
          using disk = failWritesAt(at, fault);
          await seal(file, recipients, place, signal).catch((error) =>
            assert.ok(error instanceof TransientError, `${where}: ${error}`)
          );
          isReached = disk.hasFailed;
        }
        const sealed = await seal(file, recipients, place, signal);
        const decrypter = new Decrypter();
        decrypter.addIdentity(identity);
        assert.deepEqual(await decrypter.decrypt(await Deno.readFile(sealed.path)), bytes, where);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  }
});
