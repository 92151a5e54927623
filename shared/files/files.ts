/**
 * The files that travel between the phases: written under a `.part` name, read with a check that they are what was announced.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { dirname, join, normalize, relative } from "node:path";
import { PermanentError, TransientError } from "../errors/errors.ts";
import { type LineBatch, splitLines } from "./lines.ts";

/** What is known of a complete file. */
export interface FileFacts {
  /** Relative to the working directory, as it travels in messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
}

/** How a file is read. */
export interface ReadOptions {
  /** What the file's SHA-256 has to be. */
  readonly sha256?: string | undefined;
  /** Ends the reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** The longest line that is handed out whole, in bytes. Default `MAX_LINE_BYTES`. */
  readonly maxLineBytes?: number | undefined;
  /** Called once with what was read, after the last line. Not called when the reading fails or is given up. */
  readonly onEnd?: (facts: FileFacts) => void;
}

/** Bytes that are read or written at once. */
const BLOCK = 256 * 1024;

/** The data directory, seen by handlers: the only way to the files of a run. Paths are those of messages, such as `data/dlq/x.jsonl`. */
export class Files {
  /** Takes the data directory (`DATA_DIR`) as its root; touches nothing yet. */
  constructor(private readonly root: string) {}

  /** The path in messages of file `name` in `folder`, such as `data/raw_users/records_20261124_030000.jsonl`. */
  path(folder: string, name: string): string {
    return join(this.root, folder, name);
  }

  /**
   * Reads a file line by line. Where `sha256` is given, the end of the file throws if the bytes were others than announced, so a reader
   * makes nothing final before it has seen the end.
   *
   * @throws PermanentError when the path leaves the data directory, the file is missing, or its bytes are not those of `sha256`.
   * @throws TransientError when the disk fails.
   */
  async *lines(path: string, options: ReadOptions = {}): AsyncGenerator<LineBatch> {
    const { sha256, onEnd, signal } = options;
    const tally = sha256 === undefined && onEnd === undefined ? undefined : new Tally(path);
    yield* splitLines(this.#blocks(path, tally, signal), options.maxLineBytes);
    const facts = tally?.facts();
    if (sha256 !== undefined && facts?.sha256 !== sha256) {
      throw new PermanentError(
        `Cannot use ${path}: its SHA-256 is ${facts?.sha256}, but ${sha256} was announced, so it was changed or cut since. ` +
          `Put the announced file back and replay the dead letter, or start a new run.`,
      );
    }
    if (facts !== undefined) onEnd?.(facts);
  }

  /** The length and SHA-256 of a complete file. @throws as `lines`. */
  async facts(path: string, signal?: AbortSignal): Promise<FileFacts> {
    const tally = new Tally(path);
    for await (const _ of this.#blocks(path, tally, signal));
    return tally.facts();
  }

  /** The length of a complete file, in bytes. @throws as `lines`. */
  async size(path: string): Promise<number> {
    try {
      return (await Deno.stat(this.inside(path))).size;
    } catch (error) {
      throw fileError("read", path, error);
    }
  }

  /** Whether a complete file of this name is there. @throws PermanentError when the path leaves the data directory. */
  async exists(path: string): Promise<boolean> {
    try {
      return (await Deno.stat(this.inside(path))).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw fileError("look at", path, error);
    }
  }

  /**
   * Begins a file under its `.part` name, or goes on with one: `resumeAt` cuts what is there to that many bytes and appends. A `.part` file
   * that is begun anew is another file than the one that was there, so that a writer that lost its right to it can't write into it.
   *
   * @throws PermanentError when the path leaves the data directory, may not be written, or is shorter than `resumeAt`.
   */
  async create(path: string, options: { resumeAt?: number } = {}): Promise<PartFile> {
    const target = this.inside(path);
    const part = `${target}.part`;
    const resumeAt = options.resumeAt ?? 0;
    const hash = createHash("sha256");
    try {
      await Deno.mkdir(dirname(target), { recursive: true });
      if (resumeAt > 0) await cut(part, path, resumeAt, hash);
      else await removeIfThere(part);
      const file = await Deno.open(part, { write: true, create: true, append: resumeAt > 0 });
      return new PartFile(path, target, file, (await file.stat()).ino, hash, resumeAt);
    } catch (error) {
      throw fileError("write", `${path}.part`, error);
    }
  }

  /**
   * Removes a file, or a folder with all that is in it; what isn't there is fine. Follows no link below the data directory.
   *
   * @throws PermanentError when the path leaves the data directory, leads through a link, or may not be removed.
   */
  async remove(path: string): Promise<void> {
    const target = this.inside(path);
    try {
      for (let at = target; relative(this.root, at) !== ""; at = dirname(at)) {
        if (!(await Deno.lstat(at)).isSymlink) continue;
        throw new PermanentError(
          `Cannot remove ${path}: ${at} is a link, which may lead out of ${this.root}/. Remove the file by hand.`,
        );
      }
      await Deno.remove(target, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw fileError("remove", path, error);
    }
  }

  async *#blocks(path: string, tally?: Tally, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const inside = this.inside(path);
    try {
      for await (const block of blocksOf(await Deno.open(inside))) {
        signal?.throwIfAborted();
        tally?.add(block);
        yield block;
      }
    } catch (error) {
      throw signal?.aborted ? error : fileError("read", path, error);
    }
  }

  /** The path to open for the path of a message. @throws PermanentError when it leaves the data directory. */
  inside(path: string): string {
    const clean = normalize(path);
    const fromRoot = relative(this.root, clean);
    if (path.includes("\0") || fromRoot === "" || fromRoot.startsWith("..")) {
      throw new PermanentError(
        `Cannot use the file ${JSON.stringify(path)}: wanted a path inside ${this.root}/.`,
      );
    }
    return clean;
  }
}

/** What is known of a file while its bytes pass by. */
class Tally {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  constructor(private readonly name: string) {}

  add(block: Uint8Array): void {
    this.#hash.update(block);
    this.#bytes += block.length;
  }

  facts(): FileFacts {
    return { name: this.name, bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}

/** A file that is being written. It gets its name with `publish`; disposing of it before removes it, unless `keep` was called. */
export class PartFile implements AsyncDisposable {
  #buffer = new Uint8Array(BLOCK);
  #filled = 0;
  /** The buffer that is being written, and its writing. */
  #spare = new Uint8Array(BLOCK);
  #writing: Promise<void> = Promise.resolve();
  #bytes: number;
  #state: "open" | "kept" | "closed" = "open";
  readonly #encoder = new TextEncoder();

  /** @ignore Made by `Files.create`. */
  constructor(
    private readonly name: string,
    private readonly target: string,
    private readonly file: Deno.FsFile,
    private readonly inode: number | null,
    private readonly hash: Hash,
    resumedAt: number,
  ) {
    this.#bytes = resumedAt;
  }

  /** Bytes written so far, those of before a resume included. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Appends text, which ends inside no surrogate pair, or bytes. Up to 256 KiB are kept in memory. Bytes may be used again once the promise
   * is settled.
   *
   * @throws TransientError when the disk is full.
   */
  async write(data: string | Uint8Array): Promise<void> {
    if (typeof data === "string") await this.#writeText(data);
    else {
      await this.#drain();
      await this.#writing;
      await this.#put(data);
      this.#bytes += data.length;
    }
  }

  async #writeText(text: string): Promise<void> {
    for (let from = 0; from < text.length;) {
      const { read, written } = this.#encoder.encodeInto(
        from === 0 ? text : text.slice(from),
        this.#buffer.subarray(this.#filled),
      );
      this.#filled += written;
      this.#bytes += written;
      from += read;
      if (from < text.length) await this.#drain();
    }
  }

  /** Writes and fsyncs all that was appended, so that it outlives a power cut; answers the length in bytes. */
  async sync(): Promise<number> {
    await this.#drain();
    await this.#writing;
    await this.#io(() => this.file.syncData());
    return this.#bytes;
  }

  /** From here on, disposing leaves the `.part` file there, for a later resume. */
  keep(): void {
    if (this.#state === "open") this.#state = "kept";
  }

  /**
   * Makes the file final under its name: fsync, rename, fsync of the folder. Whatever had that name is replaced.
   *
   * @throws TransientError when the disk fails, or another process has removed the file or begun it anew.
   */
  async publish(): Promise<FileFacts> {
    await this.sync();
    if (!(await this.#isStillOurs())) {
      throw new TransientError(
        `Cannot finish ${this.name}: another process has removed it or begun it anew. It is tried again.`,
      );
    }
    await this.#io(async () => {
      await Deno.rename(`${this.target}.part`, this.target);
      const folder = await Deno.open(dirname(this.target));
      await folder.sync().finally(() => folder.close());
    });
    this.file.close();
    this.#state = "closed";
    return { name: this.name, bytes: this.#bytes, sha256: this.hash.digest("hex") };
  }

  /** Closes the file, and removes it unless it was published or kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "closed") return;
    const remove = this.#state === "open";
    this.#state = "closed";
    await this.#writing.catch(() => {});
    this.file.close();
    if (remove && await this.#isStillOurs()) await Deno.remove(`${this.target}.part`).catch(() => {});
  }

  /** A process that was suspended until its lease was gone must not touch the file of the one that took over. */
  async #isStillOurs(): Promise<boolean> {
    const there = await Deno.stat(`${this.target}.part`).catch(() => undefined);
    return there !== undefined && there.ino === this.inode;
  }

  /** Begins to write what is in the buffer; what comes meanwhile goes into the other one. */
  async #drain(): Promise<void> {
    await this.#writing;
    this.#writing = this.#put(this.#buffer.subarray(0, this.#filled));
    this.#writing.catch(() => {}); // met when it is awaited
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.#filled = 0;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    const written = this.#io(async () => {
      for (let at = 0; at < bytes.length;) at += await this.file.write(bytes.subarray(at));
    });
    this.hash.update(bytes);
    await written;
  }

  async #io<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw fileError("write", `${this.name}.part`, error);
    }
  }
}

/** Cuts a `.part` file to `bytes` and adds what is left to `hash`. */
async function cut(part: string, path: string, bytes: number, hash: Hash): Promise<void> {
  using file = await Deno.open(part, { read: true, write: true });
  const there = (await file.stat()).size;
  if (there < bytes) {
    throw new PermanentError(
      `Cannot go on with ${path}.part: it has ${there} bytes, but ${bytes} were recorded. Remove it and the state file to start over.`,
    );
  }
  await file.truncate(bytes);
  for await (const block of blocksOf(file)) hash.update(block);
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Reads a file to its end and closes it: block by block, each while the one before is used. A block is good until the next one is asked for. */
export async function* blocksOf(file: Deno.FsFile): AsyncGenerator<Uint8Array> {
  let [block, next] = [new Uint8Array(BLOCK), new Uint8Array(BLOCK)];
  let coming = file.read(next);
  try {
    for (let n = await coming; n !== null; n = await coming) {
      [block, next] = [next, block];
      coming = file.read(next);
      coming.catch(() => {}); // met when it is awaited
      yield block.subarray(0, n);
    }
  } finally {
    await coming.catch(() => {});
    file.close();
  }
}

/** Classifies what the file system threw: a missing file or missing rights are permanent; a full or failing disk may recover. */
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
  const text = error instanceof Error ? error.message : String(error);
  return new TransientError(
    `Cannot ${action} ${path}: ${text}. Is the disk full or failing? It is tried again.`,
    { cause: error },
  );
}

/** Writes a small file whole or not at all: `.part`, fsync, rename. @throws as `fileError`. */
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
    await Deno.rename(`${path}.part`, path);
  } catch (error) {
    throw fileError("write", path, error);
  }
}
