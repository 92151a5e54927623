/**
 * A file that grows in the store: parts of an upload, which gets its name when it is completed. Of a resumable file each part is an
 * object of its own first, which another machine can read.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { BLOCK } from "../disk.ts";
import type { FileFacts, GrowingFile, PublishOptions, SafePart } from "../files.ts";
import { type LineBatch, splitLines } from "../lines.ts";
import { insistOnSame } from "../reading.ts";
import { type S3Client, sha256Of } from "./client.ts";
import { Absent, Taken } from "./failure.ts";
import { Upload } from "./upload.ts";

/**
 * Bytes of a part of a resumable file: the least that stores take, as what isn't in a part yet is lost with its machine. All but the last one
 * are as long, as some stores want it.
 */
export const PART = 5 * 1024 * 1024;

/** Bytes of a part of any other file: each costs a request, and time in the store. */
export const LARGE_PART = 16 * 1024 * 1024;

/** Parts that the store copies at once. */
const LANES = 3;

/** What a growing file needs of the files that it is to be one of. */
export interface Home {
  readonly client: S3Client;
  /** The path in messages, and the key. */
  readonly path: string;
  readonly key: string;
  /** Reads what has the key; undefined where nothing has. */
  published(): Promise<FileFacts | undefined>;
  /** Removes the claim to the name, and the objects that kept parts 1 to `count`. */
  release(count: number): Promise<void>;
  /** The objects that keep the parts of a resumable file, and whether they still count. */
  readonly kept?: Kept | undefined;
}

/** The parts of one writer of a resumable file. */
export interface Kept {
  /** The key of part `n`, from 1. */
  keyOf(n: number): string;
  /** @throws TransientError when another writer has taken over. */
  insistOnOurs(): Promise<void>;
  /** Reads parts 1 to `count`. */
  blocks(count: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** See the port for what its methods promise. Two parts are kept in memory: one is sent, the other one fills. */
export class S3GrowingFile implements GrowingFile {
  readonly #hash = createHash("sha256");
  readonly #encoder = new TextEncoder();
  /** Where text is made bytes. */
  #scratch: Uint8Array<ArrayBuffer> | undefined;
  readonly #part: number;
  #buffer: Uint8Array;
  #filled = 0;
  /** How much of the buffer is in the hash. */
  #hashed = 0;
  /** The part that is on its way, and its sending. */
  #spare: Uint8Array;
  #sending: Promise<void> = Promise.resolve();
  #bytes = 0;
  #parts = 0;
  /** Where `sync` was called, and not all before it is safe yet; the first one is the last that is. */
  #marks: Required<SafePart>[];
  /** Copies into the upload: one after the other in each lane. */
  readonly #copying = Array.from({ length: LANES }, () => Promise.resolve());
  /** Parts that another machine can read, whole. */
  #safeParts = 0;
  #upload: Promise<Upload> | undefined;
  #isOpen = true;

  constructor(private readonly home: Home) {
    this.#part = home.kept === undefined ? LARGE_PART : PART;
    [this.#buffer, this.#spare] = [new Uint8Array(this.#part), new Uint8Array(this.#part)];
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
    for (let rest = bytes; rest.length > 0;) {
      const fitting = rest.subarray(0, this.#part - this.#filled);
      this.#buffer.set(fitting, this.#filled);
      this.#filled += fitting.length;
      this.#bytes += fitting.length;
      rest = rest.subarray(fitting.length);
      if (this.#filled === this.#part) await this.#flush();
    }
  }

  async sync(): Promise<Required<SafePart>> {
    this.#marks.push({ bytes: this.bytes, sha256: this.#digest() });
    const safe = this.#safeParts * this.#part;
    this.#marks.splice(0, this.#marks.findLastIndex(({ bytes }) => bytes <= safe));
    return await Promise.resolve(this.#marks[0]!);
  }

  /** Of a file that was filled anew: makes safe all that is in it, if that is what was recorded. Answers whether it is. */
  async adopt({ bytes, sha256 }: SafePart): Promise<boolean> {
    const { client, path, kept } = this.home;
    const digest = this.#digest();
    if (this.#bytes !== bytes || (sha256 ?? digest) !== digest) return false;
    await this.#settle();
    const tail = this.#buffer.subarray(0, this.#filled);
    if (tail.length > 0) await client.put({ action: "write", path }, kept!.keyOf(this.#parts + 1), tail);
    this.#marks = [{ bytes, sha256: digest }];
    return true;
  }

  lines(signal?: AbortSignal): AsyncGenerator<LineBatch> {
    return splitLines(this.#blocks(signal));
  }

  async *#blocks(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.#settle();
    if (this.#parts > 0) yield* this.home.kept!.blocks(this.#parts, signal);
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
    // a store that doesn't know the condition would replace what has the name
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
        // an earlier try may have worked, though its answer was lost
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

  /** Ends what isn't needed any more; what can't be removed now is removed once it is old. */
  async #tidy(isPublished: boolean): Promise<void> {
    await this.#upload?.then((upload) => upload.abort()).catch(() => {});
    if (isPublished) await this.home.release(this.#parts + 1).catch(() => {});
  }

  #digest(): string {
    this.#hash.update(this.#buffer.subarray(this.#hashed, this.#filled));
    this.#hashed = this.#filled;
    return this.#hash.copy().digest("hex");
  }

  /** Begins to send the full buffer; what comes meanwhile goes into the other one. */
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
    const { client, path, key, kept } = this.home;
    this.#upload ??= Upload.begin(client, path, key);
    const upload = this.#upload;
    upload.catch(() => {}); // handled where it is awaited
    if (kept === undefined) await (await upload).put(n, bytes);
    else {
      await client.put({ action: "write", path }, kept.keyOf(n), bytes, { sha256: sha256Of(bytes) });
      const lane = n % LANES;
      this.#copying[lane] = this.#copying[lane]!.then(async () =>
        await (await upload).copy(n, kept.keyOf(n))
      );
      this.#copying[lane].catch(() => {}); // handled where it is awaited
      this.#safeParts = n;
    }
  }

  async #settle(): Promise<void> {
    await this.#sending;
    await Promise.all(this.#copying);
  }
}
