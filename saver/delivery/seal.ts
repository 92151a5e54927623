/**
 * Encrypts a file for its recipients before its delivery (age, https://age-encryption.org).
 *
 * A file is encrypted once, and the result is kept beside the run's files. age's output differs each time, but a repeated delivery needs the same
 * bytes.
 */
import { Encrypter } from "age-encryption";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { PermanentError } from "../../shared/errors/errors.ts";
import type { LocalFile } from "./delivery.ts";
import type { FileFacts, Files } from "../../shared/files/files.ts";

interface Place {
  /** The files of runs, which hold the file to encrypt. */
  readonly files: Files;
  /** A folder for their sealed files. */
  readonly folder: string;
}

/**
 * Encrypts `file` for `recipients` into `folder`, or finds an earlier result there. The returned file is delivered instead.
 *
 * @param recipients public keys (`age1…`), at least one; the holder of any one can decrypt the file
 * @throws PermanentError if a recipient is invalid, or the file isn't the announced one.
 * @throws as `Files.create` and `Files.lines`.
 */
export async function seal(
  file: LocalFile,
  recipients: readonly string[],
  { files, folder }: Place,
  signal: AbortSignal,
  onProgress: (bytes: number) => void = () => {},
): Promise<LocalFile> {
  const encrypter = encrypterFor(recipients);
  // only the same content for the same recipients has this name
  const id = createHash("sha256").update([file.sha256, ...recipients.toSorted()].join("\n")).digest("hex");
  const path = join(folder, `${id.slice(0, 32)}.age`);
  const { bytes, sha256 } = await files.sealed.exists(path)
    ? await files.sealed.facts(path, signal)
    : await make(file, encrypter, path, files, signal, onProgress);
  return { ...file, bytes, sha256, path, name: `${file.name}.age`, plainSha256: file.sha256 };
}

/** @throws PermanentError as `seal`. */
export function checkRecipients(recipients: readonly string[]): void {
  encrypterFor(recipients);
}

/** Reports an invalid recipient by its position, not its text, which may be a secret key. */
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
  files: Files,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<FileFacts> {
  await using target = await files.sealed.create(path);
  const plain = createHash("sha256");
  const source = ReadableStream.from(files.blocks(file.path, signal)).pipeThrough(hashing(plain), { signal });
  let bytes = 0;
  try {
    for await (const block of await encrypter.encrypt(source)) {
      onProgress(bytes += block.length);
      await target.write(block);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
  if (plain.digest("hex") !== file.sha256) {
    throw new PermanentError(
      `Cannot encrypt "${file.path}": its SHA-256 isn't ${file.sha256}, which was announced, so it was changed or truncated since. ` +
        `Put the announced file back and replay the dead letter, or start a new run.`,
    );
  }
  return await target.publish();
}

/** Yields copies, as a block is valid only until the next one is requested. */
function hashing(hash: ReturnType<typeof createHash>): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(block, controller) {
      hash.update(block);
      controller.enqueue(block.slice());
    },
  });
}
