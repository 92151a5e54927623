/** The adapters' access to the disk: reads blocks, makes renames durable, and classifies the file system's errors. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { NoSpace, PermanentError, TransientError } from "../errors/errors.ts";

export const BLOCK = 256 * 1024;

/** Reads a file to its end and closes it. Reads each block while the previous one is used. A block is valid until the next one is requested. */
export async function* blocksOf(file: Deno.FsFile): AsyncGenerator<Uint8Array> {
  let [block, next] = [new Uint8Array(BLOCK), new Uint8Array(BLOCK)];
  let coming = file.read(next);
  try {
    for (let n = await coming; n !== null; n = await coming) {
      [block, next] = [next, block];
      coming = file.read(next);
      coming.catch(() => {}); // handled where it is awaited
      yield block.subarray(0, n);
    }
  } finally {
    await coming.catch(() => {});
    file.close();
  }
}

/** The blocks of the file at `path`. @throws what `failed` makes of an error, and the signal's reason. */
export async function* blocksAt(
  path: string,
  failed: (error: unknown) => Error,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const block of blocksOf(await Deno.open(path))) {
      signal?.throwIfAborted();
      yield block;
    }
  } catch (error) {
    throw signal?.aborted ? error : failed(error);
  }
}

/**
 * Classifies an error of the file system: a missing file or missing permission is permanent; a full disk is `NoSpace`, a failing one may
 * recover.
 */
export function fileError(action: string, path: string, error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  if (error instanceof Deno.errors.NotFound) {
    return new PermanentError(`Cannot ${action} ${path}: it isn't there. Put it back, or start a new run.`, {
      cause: error,
    });
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new PermanentError(
      `Cannot ${action} ${path}: permission denied. Give the user that runs this service the right to ${action} it, and try again.`,
      { cause: error },
    );
  }
  if (
    error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.IsADirectory ||
    error instanceof Deno.errors.AlreadyExists
  ) {
    return new PermanentError(
      `Cannot ${action} ${path}: a file or folder of another kind is in its place. Move it away, and try again.`,
      {
        cause: error,
      },
    );
  }
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    const what = code === "ENOSPC" ? "the disk is full" : "the quota of this user is used up";
    return new NoSpace(
      `Cannot ${action} ${path}: ${what}. Make room; it will be retried for a week.`,
      {
        cause: error,
      },
    );
  }
  const text = error instanceof Error ? error.message : String(error);
  return new TransientError(
    `Cannot ${action} ${path}: ${text}. Is the disk failing? It will be retried.`,
    { cause: error },
  );
}

/** @throws NoSpace if the disk of `folder` has less than `bytes` free for `purpose`, such as `load data/x.jsonl`. */
export async function needSpace(folder: string, bytes: number, purpose: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const [needed, there, missing] = [bytes, free, bytes - free].map((bytes) =>
    `${(bytes / 1e6).toFixed(1)} MB`
  );
  throw new NoSpace(
    `Cannot ${purpose}: it needs ${needed} on the disk of "${folder}", of which ${there} are free. ` +
      `Make ${missing} of room; it will be retried for a week.`,
  );
}

/** Renames a file, replacing any other, and fsyncs the folder, so that the name survives a power cut. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await Deno.rename(from, to);
  const folder = await Deno.open(dirname(to));
  await folder.sync().finally(() => folder.close());
}

/** Writes a small file atomically: `.part`, fsync, rename, fsync of the folder. A failure leaves no `.part`. @throws as `fileError`. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    const file = await Deno.open(`${path}.part`, { write: true, create: true, truncate: true });
    try {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.syncData();
    } finally {
      file.close();
    }
    await renameDurably(`${path}.part`, path);
  } catch (error) {
    await Deno.remove(`${path}.part`).catch(() => {});
    throw fileError("write", path, error);
  }
}

/** A missing file is fine. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
