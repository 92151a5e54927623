import type { Hash } from "node:crypto";
import { dirname } from "node:path";
import { TransientError } from "../errors/errors.ts";
import { BLOCK, blocksAt, blocksOf, fileError, needSpace, renameDurably } from "./disk.ts";
import type { FileFacts, GrowingFile, PublishOptions, SafePart } from "./files.ts";
import type { LineBatch } from "./lines.ts";
import { factsOf, insistOnSame, linesOf } from "./reading.ts";

/** Space to leave free on a file's disk, in bytes. Queue and state on the same disk need it to return the message. */
const SPARE = 4_000_000;

interface Opening {
  readonly name: string;
  readonly target: string;
  /** Covers the `bytes` that the `.part` file already has. */
  readonly hash: Hash;
  readonly bytes: number;
  readonly resumable: boolean;
}

/** A `.part` file of the local disk. Up to 256 KiB are buffered in memory. */
export class PartFile implements GrowingFile {
  #buffer = new Uint8Array(BLOCK);
  #filled = 0;
  /** The buffer that is being written, and the pending write. */
  #spare = new Uint8Array(BLOCK);
  #writing: Promise<void> = Promise.resolve();
  #bytes: number;
  #isOpen = true;
  readonly #encoder = new TextEncoder();

  private constructor(
    private readonly name: string,
    private readonly target: string,
    private readonly file: Deno.FsFile,
    private readonly inode: number | null,
    private readonly hash: Hash,
    private readonly resumable: boolean,
    resumedAt: number,
  ) {
    this.#bytes = resumedAt;
  }

  static async open({ name, target, hash, bytes, resumable }: Opening): Promise<PartFile> {
    const file = await Deno.open(`${target}.part`, { write: true, create: bytes === 0, append: bytes > 0 });
    try {
      return new PartFile(name, target, file, (await file.stat()).ino, hash, resumable, bytes);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

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

  /** Writes and fsyncs all appended bytes, which then survive a power cut. */
  async sync(): Promise<Required<SafePart>> {
    await this.#drain();
    await this.#writing;
    await this.#io(() => this.file.syncData());
    return { bytes: this.#bytes, sha256: this.hash.copy().digest("hex") };
  }

  lines(signal?: AbortSignal): AsyncGenerator<LineBatch> {
    const name = `${this.name}.part`;
    return linesOf(
      name,
      blocksAt(`${this.target}.part`, (error) => fileError("read", name, error), signal),
    );
  }

  /** fsync, rename, fsync of the folder. */
  async publish({ replace = false }: PublishOptions = {}): Promise<FileFacts> {
    const facts = { name: this.name, ...await this.sync() };
    if (!(await this.#isStillOurs())) throw this.#taken();
    const there = replace ? undefined : await this.#published();
    if (there !== undefined) insistOnSame(there, facts);
    await this.#io(async () => {
      try {
        await renameDurably(`${this.target}.part`, this.target);
      } catch (error) {
        throw error instanceof Deno.errors.NotFound ? this.#taken() : error;
      }
    });
    this.file.close();
    this.#isOpen = false;
    return facts;
  }

  #taken(): Error {
    return new TransientError(
      `Cannot finish ${this.name}: another process has removed or replaced it. It will be retried.`,
    );
  }

  /** The existing file of that name. */
  async #published(): Promise<FileFacts | undefined> {
    try {
      return await factsOf(this.name, blocksOf(await Deno.open(this.target)));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw fileError("read", this.name, error);
    }
  }

  /** Closes the file, and removes it unless it was published or is resumable. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#writing.catch(() => {});
    this.file.close();
    if (!this.resumable && await this.#isStillOurs()) {
      await Deno.remove(`${this.target}.part`).catch(() => {});
    }
  }

  /** A process that was suspended until its lease ran out must not touch the file of its successor. */
  async #isStillOurs(): Promise<boolean> {
    const there = await Deno.stat(`${this.target}.part`).catch(() => undefined);
    return there !== undefined && there.ino === this.inode;
  }

  /** Starts to write the buffer; later bytes go into the other one. */
  async #drain(): Promise<void> {
    await this.#writing;
    this.#writing = this.#put(this.#buffer.subarray(0, this.#filled));
    this.#writing.catch(() => {}); // handled where it is awaited
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.#filled = 0;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    const written = this.#io(async () => {
      await needSpace(dirname(this.target), bytes.length + SPARE, `write ${this.name}.part`);
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
