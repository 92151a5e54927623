/**
 * The Files port: the files that travel between the phases. A name is used once: a file grows under a hidden name and gets its own when it
 * is complete; reading verifies that it is the announced one. Adapters: `local.ts`, and `s3/` for a store.
 *
 * @module
 */
import { normalize, relative } from "node:path";
import { PermanentError } from "../errors/errors.ts";
import type { Documents } from "./documents.ts";
import type { LineBatch } from "./lines.ts";

/** A complete file. */
export interface FileFacts {
  /** Relative to the working directory, as it travels in messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
}

/** How much of a growing file is safely written. */
export interface SafePart {
  /** Length in bytes; a resume cuts off the rest. */
  readonly bytes: number;
  /** Of these bytes; absent: not verified. */
  readonly sha256?: string | undefined;
}

/** Options for reading a file. */
export interface ReadOptions {
  /** The SHA-256 to verify. */
  readonly sha256?: string | undefined;
  /** Ends the reading, which throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The longest line to read whole, in bytes. Default `MAX_LINE_BYTES`. */
  readonly maxLineBytes?: number | undefined;
  /** Called once with the facts of the whole file, after the last line. Not called when the reading fails or stops early. */
  readonly onEnd?: (facts: FileFacts) => void;
}

/** Options for creating a file. */
export interface CreateOptions {
  /** Disposing keeps the safe part, for a later `resume` on any machine that sees the same files. */
  readonly resumable?: boolean;
}

/** Options for publishing a file. */
export interface PublishOptions {
  /** Replaces other content under that name, which is known to be damaged or useless. Default false: it is a conflict. */
  readonly replace?: boolean;
}

/** Another content has the name. */
export class Conflict extends PermanentError {
  /** Its class, for logs. */
  override readonly name: string = "Conflict";
}

/** A file that is being written. It gets its name with `publish`; disposing of it before removes it, unless it is resumable. */
export interface GrowingFile extends AsyncDisposable {
  /** Bytes written so far, including those before a resume. */
  readonly bytes: number;
  /**
   * Appends text, which ends inside no surrogate pair, or bytes. Bytes can be reused once the promise is settled.
   *
   * @throws NoSpace when the disk has no space to spare; TransientError when it can't be written now.
   */
  write(data: string | Uint8Array): Promise<void>;
  /**
   * Makes written bytes safe, as far as that is worth it, and answers from where the file can be resumed: here, or at an earlier call.
   * @throws as `write`.
   */
  sync(): Promise<Required<SafePart>>;
  /** The lines of a file that was resumed, before anything is appended. @throws as `Files.lines`. */
  lines(signal?: AbortSignal): AsyncIterable<LineBatch>;
  /**
   * Gives the complete file its name. An existing file with the same content is fine.
   *
   * @throws Conflict when another content has the name, and must not be replaced.
   * @throws TransientError as `write`, or when another process has removed or replaced the growing file.
   */
  publish(options?: PublishOptions): Promise<FileFacts>;
}

/** The files of runs, seen by handlers. Paths are those of messages, such as `data/dlq/x.jsonl`. All methods throw as `lines` does. */
export interface Files {
  /** The phases' notes beside the files. */
  readonly documents: Documents;
  /** The encrypted copies, in a folder that no message can name. */
  readonly sealed: Files;
  /** The path in messages of file `name` in `folder`, such as `data/raw_users/records_20261124_030000.jsonl`. */
  path(folder: string, name: string): string;
  /** The path, normalized. @throws PermanentError when it isn't a file of a run. */
  inside(path: string): string;
  /**
   * Reads a file line by line. With `sha256`, the end of the file throws if its bytes aren't the announced ones, so a reader must make
   * nothing final before the end.
   *
   * @throws PermanentError when the path leaves the folders of runs, the file is missing, or its bytes are not those of `sha256`.
   * @throws TransientError when the disk or the line to it fails.
   */
  lines(path: string, options?: ReadOptions): AsyncIterable<LineBatch>;
  /** Reads a file block by block. A block is valid until the next one is requested. */
  blocks(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The length and SHA-256 of a complete file; reads all of it. */
  facts(path: string, signal?: AbortSignal): Promise<FileFacts>;
  /** In bytes, of a complete file. */
  size(path: string): Promise<number>;
  /** Whether a complete file has this name. */
  exists(path: string): Promise<boolean>;
  /** Reserves a name for the caller; false where it is taken. */
  reserve(path: string): Promise<boolean>;
  /**
   * Creates a file. A file that grows under this name is replaced, so that a writer that lost its right to the name can't write into the
   * new one.
   */
  create(path: string, options?: CreateOptions): Promise<GrowingFile>;
  /** Continues a resumable file after its safe part. Undefined where it is missing, or doesn't hold that part. */
  resume(path: string, safe: SafePart): Promise<GrowingFile | undefined>;
  /** Renames a growing file, so that nothing touches it; answers its new path, which ends in `suffix`, or undefined where there is none. */
  setPartAside(path: string, suffix: string): Promise<string | undefined>;
  /** Removes a growing file. A missing one is fine. */
  discard(path: string): Promise<void>;
  /** Removes a file, or a folder with its content. A missing one is fine. */
  remove(path: string): Promise<void>;
  /**
   * Removes abandoned data that would stay hidden: uploads without a name for a day, and safe parts that nobody has continued for a week.
   * Answers how many.
   */
  removeAbandoned(signal: AbortSignal, now?: number): Promise<number>;
}

/** The folders for the files of runs. A message must not name any other file, such as the extractor's state. */
export const RUN_FILES = /^(raw_[^/]+|processed_[^/]+|dlq)\/./;

/** The folder of encrypted copies; no message names one. */
export const SEALED_FILES = /^sealed\/./;

/** The path, normalized, where it is in one of the `allowed` folders below `root`. @throws PermanentError */
export function within(root: string, path: string, allowed: RegExp): string {
  const clean = normalize(path);
  if (path.includes("\0") || !allowed.test(relative(root, clean))) {
    throw new PermanentError(
      `Cannot use the file ${
        JSON.stringify(path)
      }: wanted a path inside ${root}/raw_*, ${root}/processed_* or ${root}/dlq. ` +
        `Move the file there and publish the message again.`,
    );
  }
  return clean;
}
