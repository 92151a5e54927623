/**
 * Uploads bytes from a local source while hashing them, and reads them back into a hash. Both keep many requests pending, as one round trip for each
 * would leave the line idle.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { RemoteFile } from "./remote.ts";

/** Bytes per request: the most that every server accepts (32 KiB packets), less the header of the request. */
const CHUNK = 31 * 1024;
/** Pending requests: about 1 MB, half the window of a channel. For the reasons see docs/decisions/003-delivery.md. */
const REQUESTS = 32;

export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Writes the bytes of `source` to `target`. Reads the next block only when few requests of the last one are pending.
 *
 * @param onSent called with the bytes of each request that the server has acknowledged
 */
export async function upload(
  source: AsyncIterable<Uint8Array>,
  target: RemoteFile,
  onSent: (bytes: number) => void,
): Promise<Digest> {
  const hash = createHash("sha256");
  const underWay: Promise<void>[] = [];
  let bytes = 0;
  try {
    for await (const block of source) {
      hash.update(block);
      for (let at = 0; at < block.length; at += CHUNK) {
        const chunk = Buffer.from(block.buffer, block.byteOffset + at, Math.min(CHUNK, block.length - at));
        const written = target.write(chunk, bytes).then(() => onSent(chunk.length));
        // it may fail before it is awaited
        written.catch(() => {});
        bytes += chunk.length;
        if (underWay.push(written) >= REQUESTS) await underWay.shift();
      }
    }
    await Promise.all(underWay);
  } finally {
    await Promise.allSettled(underWay);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Reads the first `size` bytes of `file` back and hashes them; `bytes` is less if the file is shorter. `onRead` is called for each reply. */
export async function readBack(
  file: RemoteFile,
  size: number,
  onRead?: (bytes: number) => void,
): Promise<Digest> {
  const hash = createHash("sha256");
  const slots: { block: Buffer; read: Promise<number> }[] = [];
  let requested = 0;
  const ask = (buffer: Buffer) => {
    const block = buffer.subarray(0, Math.min(CHUNK, size - requested));
    const read = file.read(block, requested);
    // it may fail before it is awaited
    read.catch(() => {});
    requested += block.length;
    slots.push({ block, read });
  };
  while (requested < size && slots.length < REQUESTS) ask(Buffer.allocUnsafe(CHUNK));
  let bytes = 0;
  for (let slot = slots.shift(); slot !== undefined; slot = slots.shift()) {
    const { block } = slot;
    const read = await slot.read;
    hash.update(block.subarray(0, read));
    bytes += read;
    onRead?.(read);
    if (read < block.length) break;
    if (requested < size) ask(Buffer.from(block.buffer, block.byteOffset, CHUNK));
  }
  await Promise.allSettled(slots.map(({ read }) => read));
  return { bytes, sha256: hash.digest("hex") };
}
