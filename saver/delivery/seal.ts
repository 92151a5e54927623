/**
 * Encrypting a file for its recipients before it is delivered (age, https://age-encryption.org).
 *
 * The encrypted file is made once and kept beside the run's files: age's output is different each time, and a delivery can be repeated only
 * as long as it is the same bytes that are delivered.
 *
 * @module
 */
import { Encrypter } from "age-encryption";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { PermanentError } from "../../shared/errors/errors.ts";
import type { LocalFile } from "./delivery.ts";
import { renameDurably } from "../../shared/files/disk.ts";
import { fileError } from "./failure.ts";

/** Length and SHA-256 of a file. */
interface Facts {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Encrypts `file` for `recipients` into `folder`, or finds it there from an earlier time. What is answered is to be delivered in its place.
 *
 * @param recipients public keys (`age1…`), at least one; each of their holders can decrypt the file by itself
 * @param folder where encrypted files are kept; made where it is missing
 * @throws PermanentError when a recipient is none, or the file isn't what was announced.
 * @throws TransientError when the disk fails or is full.
 */
export async function seal(
  file: LocalFile,
  recipients: readonly string[],
  folder: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void = () => {},
): Promise<LocalFile> {
  const encrypter = encrypterFor(recipients);
  // The same content for the same recipients, and nothing else, has this name.
  const id = createHash("sha256").update([file.sha256, ...recipients.toSorted()].join("\n")).digest("hex");
  const path = join(folder, `${id.slice(0, 32)}.age`);
  const facts = await factsOf(path, signal) ?? await make(file, encrypter, path, signal, onProgress);
  return { ...file, ...facts, path, name: `${file.name}.age`, plainSha256: file.sha256 };
}

/** Checks that files can be encrypted for `recipients`. @throws PermanentError as `seal`. */
export function checkRecipients(recipients: readonly string[]): void {
  encrypterFor(recipients);
}

/** An invalid recipient is reported by its position, not its text: it may be a secret key. */
function encrypterFor(recipients: readonly string[]): Encrypter {
  const encrypter = new Encrypter();
  recipients.forEach((recipient, i) => {
    try {
      encrypter.addRecipient(recipient);
    } catch {
      throw new PermanentError(
        `Cannot encrypt for recipient ${
          i + 1
        } of SFTP_ENCRYPT_TO: wanted a public key of age (age1…), as \`age-keygen -y\` prints it.`,
      );
    }
  });
  if (recipients.length === 0) {
    throw new PermanentError("Cannot encrypt without a recipient: wanted at least one in SFTP_ENCRYPT_TO.");
  }
  return encrypter;
}

async function make(
  file: LocalFile,
  encrypter: Encrypter,
  path: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<Facts> {
  const part = `${path}.${crypto.randomUUID()}.part`;
  try {
    await Deno.mkdir(join(path, ".."), { recursive: true });
    const plain = createHash("sha256");
    using target = await Deno.open(part, { write: true, createNew: true });
    // opened last, as only its reader closes it
    const source = (await Deno.open(file.path)).readable.pipeThrough(hashing(plain), { signal });
    const sealed = createHash("sha256");
    let bytes = 0;
    for await (const block of await encrypter.encrypt(source)) {
      sealed.update(block);
      onProgress(bytes += block.length);
      for (let at = 0; at < block.length;) at += await target.write(block.subarray(at));
    }
    if (plain.digest("hex") !== file.sha256) {
      throw new PermanentError(
        `Cannot encrypt "${file.path}": its SHA-256 isn't ${file.sha256}, which was announced, so it was changed or cut since. ` +
          `Put the announced file back and replay the dead letter, or start a new run.`,
      );
    }
    await target.syncData();
    await renameDurably(part, path);
    return { bytes, sha256: sealed.digest("hex") };
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw signal.aborted ? signal.reason : fileError("encrypt", file.path, error);
  }
}

function hashing(hash: ReturnType<typeof createHash>): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(block, controller) {
      hash.update(block);
      controller.enqueue(block);
    },
  });
}

async function factsOf(path: string, signal: AbortSignal): Promise<Facts | undefined> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const block of (await Deno.open(path)).readable) {
      signal.throwIfAborted();
      hash.update(block);
      bytes += block.length;
    }
    return { bytes, sha256: hash.digest("hex") };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw signal.aborted ? signal.reason : fileError("read", path, error);
  }
}
