/**
 * A file that grows in the store: parts of an upload, which gets its name when it is completed. Parts can't be read before that. So each step of a
 * resumable file is also stored as a compressed object, from which another machine can resume.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { BLOCK } from "../disk.ts";
import type { FileFacts, GrowingFile, PublishOptions, SafePart } from "../files.ts";
import { type LineBatch, splitLines } from "../lines.ts";
import { insistOnSame } from "../reading.ts";
import type { S3Client } from "./client.ts";
import { Absent, Taken } from "./failure.ts";
import { Upload } from "./upload.ts";

/** Bytes per step of a resumable file. Bytes that aren't durable yet are lost if the machine dies. */
export const STEP = 5 * 1024 * 1024;

/**
 * Bytes per part of an upload; a smaller file is sent in one request. All parts except the last have the same length, as some stores require. Each
 * part costs requests when it is sent and when it is read.
 */
const PART = 3 * STEP;

/** zstd's fastest regular level; it compresses JSON lines to a quarter. */
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const compressed: (bytes: Uint8Array, options: typeof FAST) => Promise<Uint8Array> = promisify(zstdCompress);

/** What a growing file needs from the store. */
interface Home {
  readonly client: S3Client;
  /** The path in messages, and the key of the object. */
  readonly path: string;
  readonly key: string;
  /** Reads the object of the key; undefined if it doesn't exist. */
  published(): Promise<FileFacts | undefined>;
  /** Removes the claim to the name, and steps 1 to `count`. */
  release(count: number): Promise<void>;
  /** The steps of this writer, if the file is resumable. */
  readonly kept?: Kept | undefined;
}

/** The steps of one writer of a resumable file. */
export interface Kept {
  /** The key of step `n`, from 1. */
  keyOf(n: number): string;
  /** @throws TransientError if another writer has taken over. */
  insistOnOurs(): Promise<void>;
  /** Reads steps 1 to `count`, each in one block. @throws Absent if one is missing; Damaged if its content differs. */
  blocks(count: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The port describes the methods. Two parts are in memory: one is being sent while the other one fills. */
export class S3GrowingFile implements GrowingFile {
  readonly #hash = createHash("sha256");
  readonly #encoder = new TextEncoder();
  /** Buffer for encoding text. */
  #scratch: Uint8Array<ArrayBuffer> | undefined;
  #buffer = new Uint8Array(PART);
  #filled = 0;
  /** Number of hashed bytes of the buffer. */
  #hashed = 0;
  /** The part that is being sent. */
  #spare = new Uint8Array(PART);
  #sending: Promise<void> = Promise.resolve();
  #bytes = 0;
  #parts = 0;
  /** The number of started steps, and the write of the last one. */
  #steps = 0;
  #keeping: Promise<void> = Promise.resolve();
  /** The number of steps that another machine can read. */
  #safeSteps = 0;
  /** Positions of calls of `sync`. The first one is the last durable one; the others aren't durable yet. */
  #marks: Required<SafePart>[];
  #upload: Promise<Upload> | undefined;
  #isOpen = true;

  constructor(private readonly home: Home) {
    this.#marks = [{ bytes: 0, sha256: this.#digest() }];
  }

  get bytes(): number {
    return this.#bytes;
  }

  async write(data: string | Uint8Array): Promise<void> {
    if (typeof data !== "string") return await this.#append(data);
    const scratch = this.#scratch ??= new Uint8Array(BLOCK);
    for (let from = 0; from < data.length;) {
      const { read, written } = this.#encoder.encodeInto(from === 0 ? data : data.slice(from), scratch);
      await this.#append(scratch.subarray(0, written));
      from += read;
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    const step = this.home.kept === undefined ? PART : STEP;
    for (let rest = bytes; rest.length > 0;) {
      const fitting = rest.subarray(0, step - this.#filled % step);
      this.#buffer.set(fitting, this.#filled);
      this.#filled += fitting.length;
      this.#bytes += fitting.length;
      rest = rest.subarray(fitting.length);
      if (this.home.kept !== undefined && this.#filled % STEP === 0) await this.#keepStep(this.home.kept);
      if (this.#filled === PART) await this.#flush();
    }
  }

  async sync(): Promise<Required<SafePart>> {
    this.#marks.push({ bytes: this.bytes, sha256: this.#digest() });
    const safe = this.#safeSteps * STEP;
    this.#marks.splice(0, this.#marks.findLastIndex(({ bytes }) => bytes <= safe));
    return await Promise.resolve(this.#marks[0]!);
  }

  /** For a file filled from old steps: makes its content durable, if it matches the recorded state. Returns whether it matches. */
  async adopt({ bytes, sha256 }: SafePart): Promise<boolean> {
    const digest = this.#digest();
    if (this.#bytes !== bytes || (sha256 ?? digest) !== digest) return false;
    await this.#settle();
    const tail = this.#filled % STEP;
    if (tail > 0) await this.#put(this.home.kept!.keyOf(this.#steps + 1), this.#last(tail));
    this.#marks = [{ bytes, sha256: digest }];
    return true;
  }

  lines(signal?: AbortSignal): AsyncGenerator<LineBatch> {
    return splitLines(this.#blocks(signal));
  }

  async *#blocks(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.#settle();
    if (this.#parts > 0) yield* this.home.kept!.blocks(this.#parts * PART / STEP, signal);
    yield this.#buffer.subarray(0, this.#filled);
  }

  async publish({ replace = false }: PublishOptions = {}): Promise<FileFacts> {
    const { client, path, key, kept } = this.home;
    const facts = { name: path, bytes: this.bytes, sha256: this.#digest() };
    const subject = { action: "publish", path };
    const isNew = !replace;
    await this.#settle();
    if (this.#upload !== undefined && this.#filled > 0) {
      await (await this.#upload).put(this.#parts += 1, this.#buffer.subarray(0, this.#filled));
      this.#filled = this.#hashed = 0;
    }
    await kept?.insistOnOurs();
    // a store that ignores the condition would replace the object
    const there = replace ? undefined : await client.head(subject, key) && await this.home.published();
    if (there !== undefined) insistOnSame(there, facts);
    else {
      try {
        if (this.#upload !== undefined) await (await this.#upload).complete(facts, isNew);
        else {
          const body = this.#buffer.subarray(0, this.#filled);
          await client.put(subject, key, body, { sha256: facts.sha256, isNew });
        }
      } catch (error) {
        // an earlier attempt may have succeeded although its response was lost
        if (!(error instanceof Taken || error instanceof Absent)) throw error;
        const there = await this.home.published();
        if (there === undefined) throw error;
        insistOnSame(there, facts);
      }
      this.#upload = undefined;
    }
    this.#isOpen = false;
    await this.#tidy(true);
    return facts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#settle().catch(() => {});
    await this.#tidy(false);
  }

  /** Removes objects that are no longer needed. Those that can't be removed now are removed once they are old. */
  async #tidy(isPublished: boolean): Promise<void> {
    await this.#upload?.then((upload) => upload.abort()).catch(() => {});
    if (isPublished) await this.home.release(this.#steps + 1).catch(() => {});
  }

  #digest(): string {
    this.#hash.update(this.#buffer.subarray(this.#hashed, this.#filled));
    this.#hashed = this.#filled;
    return this.#hash.copy().digest("hex");
  }

  /** Starts sending the full buffer; new bytes go into the other one. */
  async #flush(): Promise<void> {
    await this.#sending;
    this.#sending = this.#send(this.#buffer);
    this.#sending.catch(() => {}); // handled where it is awaited
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
  }

  async #send(bytes: Uint8Array): Promise<void> {
    this.#digest();
    const n = this.#parts += 1;
    this.#filled = this.#hashed = 0;
    const { client, path, key } = this.home;
    this.#upload ??= Upload.begin(client, path, key);
    this.#upload.catch(() => {}); // handled where it is awaited
    await (await this.#upload).put(n, bytes);
  }

  /** Starts writing the step at the end of the buffer, one at a time. A crash loses at most this step and later bytes. */
  async #keepStep(kept: Kept): Promise<void> {
    await this.#keeping;
    const n = this.#steps += 1;
    this.#keeping = this.#put(kept.keyOf(n), this.#last(STEP)).then(() => void (this.#safeSteps = n));
    this.#keeping.catch(() => {}); // handled where it is awaited
  }

  async #put(key: string, bytes: Uint8Array): Promise<void> {
    const { client, path } = this.home;
    await client.put({ action: "write", path }, key, await compressed(bytes, FAST));
  }

  /** The last bytes of the buffer. */
  #last(bytes: number): Uint8Array {
    return this.#buffer.subarray(this.#filled - bytes, this.#filled);
  }

  async #settle(): Promise<void> {
    await Promise.all([this.#sending, this.#keeping]);
  }
}
