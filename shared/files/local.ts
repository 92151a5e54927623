/** The files of runs in a folder of the local disk: written under a `.part` name. */
import { createHash } from "node:crypto";
import { dirname, join, relative } from "node:path";
import { PermanentError } from "../errors/errors.ts";
import { blocksAt, blocksOf, fileError, removeIfThere, renameDurably } from "./disk.ts";
import { type Documents, LocalDocuments } from "./documents.ts";
import {
  type CreateOptions,
  type FileFacts,
  type Files,
  type ReadOptions,
  RUN_FILES,
  type SafePart,
  SEALED_FILES,
  within,
} from "./files.ts";
import type { LineBatch } from "./lines.ts";
import { PartFile } from "./part_file.ts";
import { factsOf, linesOf } from "./reading.ts";

/** The files of runs in the data directory (`DATA_DIR`). */
export class LocalFiles implements Files {
  constructor(private readonly root: string, private readonly allowed: RegExp = RUN_FILES) {}

  get documents(): Documents {
    return new LocalDocuments(join(this.root, "state"));
  }

  get sealed(): LocalFiles {
    return new LocalFiles(this.root, SEALED_FILES);
  }

  path(folder: string, name: string): string {
    return join(this.root, folder, name);
  }

  inside(path: string): string {
    return within(this.root, path, this.allowed);
  }

  lines(path: string, options: ReadOptions = {}): AsyncGenerator<LineBatch> {
    return linesOf(path, this.blocks(path, options.signal), options);
  }

  async *blocks(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* blocksAt(this.inside(path), (error) => fileError("read", path, error), signal);
  }

  async facts(path: string, signal?: AbortSignal): Promise<FileFacts> {
    return await factsOf(path, this.blocks(path, signal));
  }

  async size(path: string): Promise<number> {
    try {
      return (await Deno.stat(this.inside(path))).size;
    } catch (error) {
      throw fileError("read", path, error);
    }
  }

  async exists(path: string): Promise<boolean> {
    try {
      return (await Deno.stat(this.inside(path))).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw fileError("look at", path, error);
    }
  }

  /** The caller holds the pipeline's lock, so checking for existence is enough. */
  async reserve(path: string): Promise<boolean> {
    return !await this.exists(path) && !await this.exists(`${path}.part`);
  }

  async create(path: string, { resumable = false }: CreateOptions = {}): Promise<PartFile> {
    const target = this.inside(path);
    try {
      await Deno.mkdir(dirname(target), { recursive: true });
      await removeIfThere(`${target}.part`);
      return await PartFile.open({ name: path, target, hash: createHash("sha256"), bytes: 0, resumable });
    } catch (error) {
      throw fileError("write", `${path}.part`, error);
    }
  }

  /** Truncates the `.part` file to its durable part, and appends. */
  async resume(path: string, safe: SafePart): Promise<PartFile | undefined> {
    const target = this.inside(path);
    const hash = createHash("sha256");
    try {
      using file = await Deno.open(`${target}.part`, { read: true, write: true });
      if ((await file.stat()).size < safe.bytes) return undefined;
      await file.truncate(safe.bytes);
      for await (const block of blocksOf(file)) hash.update(block);
      if (safe.sha256 !== undefined && hash.copy().digest("hex") !== safe.sha256) return undefined;
      return await PartFile.open({ name: path, target, hash, bytes: safe.bytes, resumable: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw fileError("write", `${path}.part`, error);
    }
  }

  /** Renames the `.part` file to `.part.<suffix>`. */
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

  async discard(path: string): Promise<void> {
    try {
      await removeIfThere(`${this.inside(path)}.part`);
    } catch (error) {
      throw fileError("remove", `${path}.part`, error);
    }
  }

  /** Removes nothing: a `.part` file is visible, and the next writer of its name replaces it. */
  removeAbandoned(): Promise<number> {
    return Promise.resolve(0);
  }

  /** Follows no link below the data directory. */
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
}
