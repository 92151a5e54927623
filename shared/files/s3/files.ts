/**
 * The files of runs in an S3-compatible store. The path in messages is the key, below the prefix: `data/raw_users/records_TS.jsonl`. A growing file
 * is an upload, which isn't visible yet. For a resumable file, `KEY.part` names the writer, and `KEY.part/WRITER/N` are its durable steps,
 * compressed. For the reasons see docs/decisions/023-files-in-a-store.md.
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { TransientError } from "../../errors/errors.ts";
import { BLOCK } from "../disk.ts";
import type { Documents } from "../documents.ts";
import {
  type CreateOptions,
  type FileFacts,
  type Files,
  type GrowingFile,
  type ReadOptions,
  RUN_FILES,
  type SafePart,
  SEALED_FILES,
  within,
} from "../files.ts";
import type { LineBatch } from "../lines.ts";
import { factsOf, linesOf } from "../reading.ts";
import { S3Client, type S3Patience } from "./client.ts";
import { S3Documents } from "./documents.ts";
import { Absent, Damaged, Taken } from "./failure.ts";
import { type Kept, S3GrowingFile, STEP } from "./growing.ts";
import type { S3Place } from "./place.ts";

/** The prefix of paths in messages, independent of a machine's `DATA_DIR`. */
const ROOT = "data";

/** Age at which an unfinished upload counts as abandoned, in milliseconds: a day. */
const UPLOAD_MS = 24 * 3_600_000;

/** Time without a new step after which a resumable file counts as abandoned, in milliseconds: a week. */
const STEPS_MS = 7 * UPLOAD_MS;

const decompressed: (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array> =
  promisify(
    zstdDecompress,
  );

/** Objects removed in parallel. */
const AT_ONCE = 4;

/** The files of runs in a bucket. The port describes the methods. */
export class S3Files implements Files {
  readonly #client: S3Client;
  #sealed: S3Files | undefined;

  /** Sends no request yet. */
  constructor(
    place: S3Place,
    private readonly patience: Partial<S3Patience> = {},
    private readonly allowed: RegExp = RUN_FILES,
  ) {
    this.#client = new S3Client(place, patience);
  }

  get documents(): Documents {
    return new S3Documents(this.#client, this.#keyOf(`${ROOT}/state`));
  }

  get sealed(): S3Files {
    return this.#sealed ??= new S3Files(this.#client.place, this.patience, SEALED_FILES);
  }

  path(folder: string, name: string): string {
    return join(ROOT, folder, name);
  }

  inside(path: string): string {
    return within(ROOT, path, this.allowed);
  }

  lines(path: string, options: ReadOptions = {}): AsyncGenerator<LineBatch> {
    return linesOf(path, this.blocks(path, options.signal), options);
  }

  async *blocks(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* this.#read(path, this.#key(path), signal);
  }

  async facts(path: string, signal?: AbortSignal): Promise<FileFacts> {
    return await factsOf(path, this.blocks(path, signal));
  }

  async size(path: string): Promise<number> {
    const headers = await this.#client.head({ action: "read", path }, this.#key(path));
    if (headers !== undefined) return Number(headers.get("content-length"));
    throw new Absent(`Cannot read ${path}: it isn't there. Put it back, or start a new run.`);
  }

  async exists(path: string): Promise<boolean> {
    return await this.#client.head({ action: "look at", path }, this.#key(path)) !== undefined;
  }

  /** As in the port. In a store without `If-None-Match` the last claim of a name wins. */
  async reserve(path: string): Promise<boolean> {
    const claim = `${this.#key(path)}.part`;
    if (await this.exists(path) || await this.exists(`${path}.part`)) return false;
    const writer = crypto.randomUUID();
    try {
      await this.#claim(path, writer, true);
    } catch (error) {
      if (error instanceof Taken) return (await this.#writerOf(path)) === writer; // a claim whose response was lost
      throw error;
    }
    return await this.#client.isConditional() ||
      (await this.#client.text({ action: "read", path }, claim)) === writer;
  }

  async create(path: string, { resumable = false }: CreateOptions = {}): Promise<GrowingFile> {
    const writer = crypto.randomUUID();
    const file = this.#growing(path, resumable ? writer : undefined);
    if (resumable) await this.#claim(path, writer);
    return file;
  }

  /**
   * As in the port. The new writer copies the old steps into its own, and then takes over the file. If the old writer is still alive, it can't write
   * to the file.
   */
  async resume(path: string, safe: SafePart): Promise<GrowingFile | undefined> {
    const old = await this.#writerOf(path);
    if (old === undefined) return undefined;
    const kept = this.#keptOf(path, old);
    const writer = crypto.randomUUID();
    const file = this.#growing(path, writer);
    try {
      for await (const block of kept.blocks(Math.ceil(safe.bytes / STEP))) {
        await file.write(block.subarray(0, safe.bytes - file.bytes));
      }
    } catch (error) {
      await file[Symbol.asyncDispose]();
      if (error instanceof Absent || error instanceof Damaged) return undefined;
      throw error;
    }
    if (!await file.adopt(safe)) {
      await file[Symbol.asyncDispose]();
      await this.#removeAll(path, this.#stepsOf(path, writer));
      return undefined;
    }
    await this.#claim(path, writer);
    await this.#removeAll(path, this.#stepsOf(path, old)).catch(() => {}); // removed later, once they are old
    return file;
  }

  /** As in the port. Without the claim to the name, the steps no longer count. */
  async setPartAside(path: string): Promise<string | undefined> {
    const writer = await this.#writerOf(path);
    if (writer === undefined) return undefined;
    await this.#client.remove({ action: "set aside", path: `${path}.part` }, `${this.#key(path)}.part`);
    return `${path}.part/${writer}`;
  }

  async discard(path: string): Promise<void> {
    await this.#client.remove({ action: "remove", path }, `${this.#key(path)}.part`);
    await this.#removeAll(path, `${this.#key(path)}.part`);
  }

  async remove(path: string): Promise<void> {
    const key = this.#key(path);
    await this.#client.remove({ action: "remove", path }, key);
    await this.#removeAll(path, `${key}/`);
  }

  async removeAbandoned(signal: AbortSignal, now: number = Date.now()): Promise<number> {
    const subject = { action: "tidy up", path: `${ROOT}/` };
    const prefix = this.#keyOf(`${ROOT}/`);
    let removed = 0;
    for await (const { key, uploadId, changedAt } of this.#client.uploads(subject, prefix)) {
      signal.throwIfAborted();
      if (now - changedAt < UPLOAD_MS) continue;
      const request = { ...subject, method: "DELETE", key, query: { uploadId: uploadId! } } as const;
      await this.#client.ask(request).catch((error) => {
        if (!(error instanceof Absent)) throw error;
      });
      removed += 1;
    }
    const newest = new Map<string, number>(); // by claim, the time of its last change
    const keys: string[] = [];
    for await (const { key, changedAt } of this.#client.list(subject, prefix)) {
      signal.throwIfAborted();
      const claim = /^.*\.part(?=$|\/[^/]+\/\d+$)/.exec(key)?.[0];
      if (claim === undefined) continue;
      keys.push(key);
      newest.set(claim, Math.max(newest.get(claim) ?? 0, changedAt));
    }
    for (const key of keys) {
      if (now - newest.get(key.replace(/\.part\/.*$/, ".part"))! < STEPS_MS) continue;
      await this.#client.remove(subject, key);
      removed += 1;
    }
    return removed;
  }

  /** Reads an object; after a lost connection it continues there on a new one. */
  async *#read(path: string, key: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const subject = { action: "read", path };
    const block = new Uint8Array(BLOCK);
    let [filled, at, length, idle] = [0, 0, Infinity, 0];
    let tag: string | null = null;
    while (at < length) {
      const range: Record<string, string> = at === 0 ? {} : { range: `bytes=${at}-`, "if-match": tag! };
      const from = at;
      using answer = await this.#client.open({ ...subject, method: "GET", key, headers: range, signal });
      const { headers, body, status } = answer.response;
      if (from === 0) {
        length = Number(headers.get("content-length"));
        tag = headers.get("etag");
      } else if (status !== 206) {
        throw new TransientError(
          `Cannot read ${path}: it broke off at byte ${at}, and the store can't continue there. It will be retried.`,
        );
      }
      // into one buffer: otherwise the reader allocates an array for each piece, which takes three times as long
      const reader = (body ?? new Blob().stream()).getReader({ mode: "byob" });
      let piece = new Uint8Array(BLOCK);
      try {
        for (;;) {
          const { done, value } = await answer.step(reader.read(piece));
          if (done && at < length) {
            throw new TransientError(`Cannot read ${path}: it ended at byte ${at} of ${length}.`);
          }
          if (done) break;
          for (let rest = value; rest.length > 0;) {
            const fitting = rest.subarray(0, BLOCK - filled);
            block.set(fitting, filled);
            filled += fitting.length;
            at += fitting.length;
            rest = rest.subarray(fitting.length);
            if (filled < BLOCK) continue;
            yield block;
            filled = 0;
          }
          piece = new Uint8Array(value.buffer);
        }
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        idle = at === from ? idle + 1 : 0;
        await this.#client.rest(idle, error, signal);
      } finally {
        await reader.cancel().catch(() => {});
      }
    }
    if (filled > 0) yield block.subarray(0, filled);
  }

  /** Reads a step of a resumable file. */
  async #readStep(path: string, key: string, signal?: AbortSignal): Promise<Uint8Array> {
    const compressed: Uint8Array[] = [];
    for await (const block of this.#read(path, key, signal)) compressed.push(block.slice());
    try {
      return await decompressed(Buffer.concat(compressed), { maxOutputLength: STEP });
    } catch (cause) {
      throw new Damaged(`Cannot read ${path}: what was kept of it can't be decompressed.`, { cause });
    }
  }

  #key(path: string): string {
    return this.#keyOf(this.inside(path));
  }

  #keyOf(path: string): string {
    const { prefix } = this.#client.place;
    return prefix === "" ? path : `${prefix}/${path}`;
  }

  #growing(path: string, writer: string | undefined): S3GrowingFile {
    return new S3GrowingFile({
      client: this.#client,
      path,
      key: this.#key(path),
      published: async () => await this.exists(path) ? await this.facts(path) : undefined,
      release: async (count) => {
        const kept = writer === undefined ? undefined : this.#keptOf(path, writer);
        const steps = kept === undefined ? [] : Array.from({ length: count }, (_, i) => kept.keyOf(i + 1));
        await this.#removeKeys(path, [...steps, `${this.#key(path)}.part`]);
      },
      kept: writer === undefined ? undefined : this.#keptOf(path, writer),
    });
  }

  #stepsOf(path: string, writer: string): string {
    return `${this.#key(path)}.part/${writer}/`;
  }

  #keptOf(path: string, writer: string): Kept {
    const keyOf = (n: number) => `${this.#stepsOf(path, writer)}${`${n}`.padStart(6, "0")}`;
    return {
      keyOf,
      insistOnOurs: async () => {
        if (await this.#writerOf(path) === writer) return;
        throw new TransientError(
          `Cannot finish ${path}: another process has removed or replaced it. It will be retried.`,
        );
      },
      blocks: async function* (this: S3Files, count: number, signal?: AbortSignal) {
        for (let n = 1; n <= count; n++) yield await this.#readStep(`${path}.part`, keyOf(n), signal);
      }.bind(this),
    };
  }

  async #claim(path: string, writer: string, isNew = false): Promise<void> {
    const body = new TextEncoder().encode(writer);
    await this.#client.put({ action: "write", path: `${path}.part` }, `${this.#key(path)}.part`, body, {
      isNew,
    });
  }

  async #writerOf(path: string): Promise<string | undefined> {
    return await this.#client.text({ action: "read", path: `${path}.part` }, `${this.#key(path)}.part`);
  }

  async #removeAll(path: string, prefix: string): Promise<void> {
    const listed = await Array.fromAsync(
      this.#client.list({ action: "remove", path }, prefix),
      ({ key }) => key,
    );
    await this.#removeKeys(path, listed);
  }

  async #removeKeys(path: string, keys: readonly string[]): Promise<void> {
    const left = [...keys];
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) {
        await this.#client.remove({ action: "remove", path }, key);
      }
    }));
  }
}
