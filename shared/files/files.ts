/**
 * The Files port: the files that are passed between the phases. A name is used once: a file grows under a hidden name, and gets its own when it is
 * complete. Reading verifies that it is the announced one. Adapters: `local.ts`, and `s3/` for a store.
 *
 * @module
 */
import { normalize, relative } from "node:path";
import { PermanentError } from "../errors/errors.ts";
import type { Documents } from "./documents.ts";
import type { LineBatch } from "./lines.ts";

/** A complete file. */
export interface FileFacts {
  /** Relative to the working directory, as in messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
}

/** How much of a growing file is durable. */
export interface SafePart {
  /** Length in bytes; a resume cuts off the rest. */
  readonly bytes: number;
  /** SHA-256 of these bytes; absent: not verified. */
  readonly sha256?: string | undefined;
}

/** Options for reading a file. */
export interface ReadOptions {
  /** The SHA-256 to verify. */
  readonly sha256?: string | undefined;
  /** Aborts reading, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The longest line to read whole, in bytes. Default `MAX_LINE_BYTES`. */
  readonly maxLineBytes?: number | undefined;
  /** Called once with the facts of the whole file, after the last line. Not called if reading fails or stops early. */
  readonly onEnd?: (facts: FileFacts) => void;
}

/** Options for creating a file. */
export interface CreateOptions {
  /** Disposing keeps the durable part, for a later `resume` on any machine with access to the same files. */
  readonly resumable?: boolean;
}

/** Options for publishing a file. */
export interface PublishOptions {
  /** Replaces other content under that name, which is known to be damaged or useless. Default false: other content is a conflict. */
  readonly replace?: boolean;
}

/** The name belongs to a file with other content. */
export class Conflict extends PermanentError {
  /** The name of the class, for logs. */
  override readonly name: string = "Conflict";
}

/** A file that is being written. `publish` gives it its name. Disposing of it before that removes it, unless it is resumable. */
export interface GrowingFile extends AsyncDisposable {
  /** Bytes written so far, including those before a resume. */
  readonly bytes: number;
  /**
   * Appends text, which must not end inside a surrogate pair, or bytes. Bytes can be reused once the promise is settled.
   *
   * @throws NoSpace if the disk has no space to spare; TransientError if it can't be written now.
   */
  write(data: string | Uint8Array): Promise<void>;
  /**
   * Makes written bytes durable, as far as that is efficient. Returns the position from which the file can be resumed: that of this call, or of an
   * earlier one.
   * @throws as `write`.
   */
  sync(): Promise<Required<SafePart>>;
  /** The lines of a resumed file, before anything is appended. @throws as `Files.lines`. */
  lines(signal?: AbortSignal): AsyncIterable<LineBatch>;
  /**
   * Gives the complete file its name. An existing file with the same content counts as success.
   *
   * @throws Conflict if the name belongs to other content, which must not be replaced.
   * @throws TransientError as `write`, or if another process has removed or replaced the growing file.
   */
  publish(options?: PublishOptions): Promise<FileFacts>;
}

/** The files of runs, as handlers use them. Paths are those of messages, such as `data/dlq/x.jsonl`. All methods throw as `lines` does. */
export interface Files {
  /** The phases' documents beside the files. */
  readonly documents: Documents;
  /** The encrypted copies, in a folder that no message can name. */
  readonly sealed: Files;
  /** The path in messages of file `name` in `folder`, such as `data/raw_users/records_20261124_030000.jsonl`. */
  path(folder: string, name: string): string;
  /** The path, normalized. @throws PermanentError when it isn't a file of a run. */
  inside(path: string): string;
  /**
   * Reads a file line by line. With `sha256`, the end of the file throws if its bytes aren't the announced ones, so a reader must not commit anything
   * before the end.
   *
   * @throws PermanentError if the path is outside the folders of runs, the file is missing, or its bytes aren't those of `sha256`.
   * @throws TransientError if the disk or the connection fails.
   */
  lines(path: string, options?: ReadOptions): AsyncIterable<LineBatch>;
  /** Reads a file block by block. A block is valid until the next one is requested. */
  blocks(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The length and SHA-256 of a complete file; reads all of it. */
  facts(path: string, signal?: AbortSignal): Promise<FileFacts>;
  /** The length of a complete file, in bytes. */
  size(path: string): Promise<number>;
  /** Whether a complete file with this name exists. */
  exists(path: string): Promise<boolean>;
  /** Reserves a name for the caller; false if it is taken. */
  reserve(path: string): Promise<boolean>;
  /** Creates a file. Replaces a file that grows under this name, so that a writer that has lost the name can't write to the new file. */
  create(path: string, options?: CreateOptions): Promise<GrowingFile>;
  /** Continues a resumable file after its durable part. Undefined if the file is missing, or doesn't hold that part. */
  resume(path: string, safe: SafePart): Promise<GrowingFile | undefined>;
  /** Renames a growing file, so that nothing else changes it. Returns its new path, which ends in `suffix`; undefined if no such file exists. */
  setPartAside(path: string, suffix: string): Promise<string | undefined>;
  /** Removes a growing file; a missing one is ignored. */
  discard(path: string): Promise<void>;
  /** Removes a file, or a folder with its content; a missing one is ignored. */
  remove(path: string): Promise<void>;
  /** Removes abandoned hidden data: unfinished uploads older than a day, and durable parts that weren't resumed for a week. Returns their number. */
  removeAbandoned(signal: AbortSignal, now?: number): Promise<number>;
}

/** The folders for the files of runs. A message must not name files elsewhere, such as the extractor's state. */
export const RUN_FILES = /^(raw_[^/]+|processed_[^/]+|dlq)\/./;

/** The folder of encrypted copies; no message names one. */
export const SEALED_FILES = /^sealed\/./;

/** The path, normalized, which must be in one of the `allowed` folders below `root`. @throws PermanentError */
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
