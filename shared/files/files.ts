/**
 * The files that travel between the phases: written under a `.part` name, read with a check that they are what was announced.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { dirname, join, normalize, relative } from "node:path";
import { PermanentError } from "../errors/errors.ts";
import { blocksOf, fileError, renameDurably } from "./disk.ts";
import { type LineBatch, splitLines } from "./lines.ts";
import { type FileFacts, PartFile, type SafePart } from "./part_file.ts";

export type { FileFacts } from "./part_file.ts";

/** How a file is read. */
export interface ReadOptions {
  /** What the file's SHA-256 has to be. */
  readonly sha256?: string | undefined;
  /** Ends the reading; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** The longest line that is handed out whole, in bytes. Default `MAX_LINE_BYTES`. */
  readonly maxLineBytes?: number | undefined;
  /** Called once with what was read, after the last line. Not called when the reading fails or stops early. */
  readonly onEnd?: (facts: FileFacts) => void;
}

/** The folders below the data directory that hold the files of runs. A message must not name any other file, such as the extractor's state. */
const RUN_FILE = /^(raw_[^/]+|processed_[^/]+|dlq)\/./;

/** The folder of encrypted copies; no message names one. */
const SEALED = /^sealed\/./;

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
   * @throws PermanentError when the path leaves the folders of runs, the file is missing, or its bytes are not those of `sha256`.
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

  /** Whether a complete file of this name is there. @throws PermanentError when the path leaves the folders of runs. */
  async exists(path: string): Promise<boolean> {
    try {
      return (await Deno.stat(this.inside(path))).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw fileError("look at", path, error);
    }
  }

  /**
   * Begins a file under its `.part` name. A `.part` file that is there is replaced by another file, so that a writer that lost its right to it
   * can't write into the new one.
   *
   * @throws PermanentError when the path leaves the folders of runs, or must not be written.
   * @throws TransientError when the disk fails.
   */
  async create(path: string): Promise<PartFile> {
    const target = this.inside(path);
    try {
      await Deno.mkdir(dirname(target), { recursive: true });
      await removeIfThere(`${target}.part`);
      return await PartFile.open(path, target, createHash("sha256"), 0);
    } catch (error) {
      throw fileError("write", `${path}.part`, error);
    }
  }

  /**
   * Continues a file where it was safe: cuts its `.part` file there and appends. Answers undefined where that file is missing, or doesn't hold
   * what was recorded.
   *
   * @throws as `create`.
   */
  async resume(path: string, safe: SafePart): Promise<PartFile | undefined> {
    const target = this.inside(path);
    const hash = createHash("sha256");
    try {
      using file = await Deno.open(`${target}.part`, { read: true, write: true });
      if ((await file.stat()).size < safe.bytes) return undefined;
      await file.truncate(safe.bytes);
      for await (const block of blocksOf(file)) hash.update(block);
      if (safe.sha256 !== undefined && hash.copy().digest("hex") !== safe.sha256) return undefined;
      return await PartFile.open(path, target, hash, safe.bytes);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw fileError("write", `${path}.part`, error);
    }
  }

  /** Renames the `.part` file of `path` to `.part.<suffix>`, where nothing touches it; answers the new name, or undefined where it is missing. */
  async setPartAside(path: string, suffix: string): Promise<string | undefined> {
    const part = `${this.inside(path)}.part`;
    try {
      await renameDurably(part, `${part}.${suffix}`);
      return `${path}.part.${suffix}`;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw fileError("set aside", `${path}.part`, error);
    }
  }

  /**
   * Removes a file, or a folder with all that is in it; what isn't there is fine. Follows no link below the data directory.
   *
   * @throws PermanentError when the path leaves the folders of runs, leads through a link, or must not be removed.
   */
  async remove(path: string): Promise<void> {
    const target = this.#within(path, RUN_FILE, SEALED);
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

  /** The path to open for the path of a message. @throws PermanentError when it isn't a file of a run. */
  inside(path: string): string {
    return this.#within(path, RUN_FILE);
  }

  #within(path: string, ...allowed: RegExp[]): string {
    const clean = normalize(path);
    const fromRoot = relative(this.root, clean);
    if (path.includes("\0") || !allowed.some((folder) => folder.test(fromRoot))) {
      throw new PermanentError(
        `Cannot use the file ${
          JSON.stringify(path)
        }: wanted a path inside ${this.root}/raw_*, ${this.root}/processed_* or ${this.root}/dlq. ` +
          `Move the file there and publish the message again.`,
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

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
