/**
 * A file that is being written.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import { TransientError } from "../errors/errors.ts";
import { BLOCK, fileError, renameDurably } from "./disk.ts";

/** What is known of a complete file. */
export interface FileFacts {
  /** Relative to the working directory, as it travels in messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
}

/** How far a `.part` file was safely written. */
export interface SafePart {
  /** Length in bytes; what follows is cut off. */
  readonly bytes: number;
  /** SHA-256 of these bytes; unchecked where it isn't known. */
  readonly sha256?: string | undefined;
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

  private constructor(
    private readonly name: string,
    private readonly target: string,
    private readonly file: Deno.FsFile,
    private readonly inode: number | null,
    private readonly hash: Hash,
    resumedAt: number,
  ) {
    this.#bytes = resumedAt;
  }

  /** @ignore Used by `Files`. `hash` covers the `bytes` that the `.part` file already has. */
  static async open(name: string, target: string, hash: Hash, bytes: number): Promise<PartFile> {
    const file = await Deno.open(`${target}.part`, { write: true, create: bytes === 0, append: bytes > 0 });
    try {
      return new PartFile(name, target, file, (await file.stat()).ino, hash, bytes);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Bytes written so far, including those before a resume. */
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

  /** Writes and fsyncs all that was appended, so that it survives a power cut; answers what is safe. */
  async sync(): Promise<Required<SafePart>> {
    await this.#drain();
    await this.#writing;
    await this.#io(() => this.file.syncData());
    return { bytes: this.#bytes, sha256: this.hash.copy().digest("hex") };
  }

  /** From here on, disposing leaves the `.part` file there, for a later resume. */
  keep(): void {
    if (this.#state === "open") this.#state = "kept";
  }

  /**
   * Makes the file final under its name: fsync, rename, fsync of the folder. A file of that name is replaced.
   *
   * @throws TransientError when the disk fails, or another process has removed or replaced the file.
   */
  async publish(): Promise<FileFacts> {
    const safe = await this.sync();
    if (!(await this.#isStillOurs())) {
      throw new TransientError(
        `Cannot finish ${this.name}: another process has removed or replaced it. It is tried again.`,
      );
    }
    await this.#io(() => renameDurably(`${this.target}.part`, this.target));
    this.file.close();
    this.#state = "closed";
    return { name: this.name, ...safe };
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
    this.#writing.catch(() => {}); // handled where it is awaited
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
