/**
 * The Files port: the files that travel between the phases. A name is taken once: a file grows under a hidden name and gets its own when it is
 * whole; it is read with a check that it is what was announced. Adapters: `local.ts`, and `s3/` for a store.
 *
 * @module
 */
import { normalize, relative } from "node:path";
import { PermanentError } from "../errors/errors.ts";
import type { Documents } from "./documents.ts";
import type { LineBatch } from "./lines.ts";

/** What is known of a complete file. */
export interface FileFacts {
  /** Relative to the working directory, as it travels in messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly bytes: number;
  /** Lower-case hexadecimal SHA-256. */
  readonly sha256: string;
}

/** How far a growing file was safely written. */
export interface SafePart {
  /** Length in bytes; what follows is cut off. */
  readonly bytes: number;
  /** SHA-256 of these bytes; unchecked where it isn't known. */
  readonly sha256?: string | undefined;
}

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

/** How a file is begun. */
export interface CreateOptions {
  /** Disposing leaves what is safe of it there, for a later `resume`, on this machine or another that sees the same files. */
  readonly resumable?: boolean;
}

/** How a file gets its name. */
export interface PublishOptions {
  /** Another content under that name is replaced, as it is known to be damaged or of no use. Default false: it is a conflict. */
  readonly replace?: boolean;
}

/** Another content has the name that a file is to be published under. */
export class Conflict extends PermanentError {
  /** Its class, for logs. */
  override readonly name: string = "Conflict";
}

/** A file that is being written. It gets its name with `publish`; disposing of it before removes it, unless it is resumable. */
export interface GrowingFile extends AsyncDisposable {
  /** Bytes written so far, including those before a resume. */
  readonly bytes: number;
  /**
   * Appends text, which ends inside no surrogate pair, or bytes. Bytes may be used again once the promise is settled.
   *
   * @throws NoSpace when the disk has no space to spare; TransientError when it can't be written now.
   */
  write(data: string | Uint8Array): Promise<void>;
  /**
   * Makes safe what was written, as far as that is worth it, and answers from where the file can be resumed: here, or where an earlier call
   * was made. @throws as `write`.
   */
  sync(): Promise<Required<SafePart>>;
  /** The lines of a file that was resumed, before anything is appended. @throws as `Files.lines`. */
  lines(signal?: AbortSignal): AsyncIterable<LineBatch>;
  /**
   * Makes the file final under its name, whole. A file of that name with the same content is fine.
   *
   * @throws Conflict when another content has the name, and isn't to be replaced.
   * @throws TransientError as `write`, or when another process has removed or replaced the growing file.
   */
  publish(options?: PublishOptions): Promise<FileFacts>;
}

/** The files of runs, seen by handlers. Paths are those of messages, such as `data/dlq/x.jsonl`. All methods throw as `lines` does. */
export interface Files {
  /** What phases note down beside the files. */
  readonly documents: Documents;
  /** The encrypted copies, in a folder that no message can name. */
  readonly sealed: Files;
  /** The path in messages of file `name` in `folder`, such as `data/raw_users/records_20261124_030000.jsonl`. */
  path(folder: string, name: string): string;
  /** The same path in its plainest form. @throws PermanentError when it isn't a file of a run. */
  inside(path: string): string;
  /**
   * Reads a file line by line. Where `sha256` is given, the end of the file throws if the bytes were others than announced, so a reader
   * makes nothing final before it has seen the end.
   *
   * @throws PermanentError when the path leaves the folders of runs, the file is missing, or its bytes are not those of `sha256`.
   * @throws TransientError when the disk or the line to it fails.
   */
  lines(path: string, options?: ReadOptions): AsyncIterable<LineBatch>;
  /** Reads a file block by block. A block is good until the next one is asked for. */
  blocks(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The length and SHA-256 of a complete file; reads the whole of it. */
  facts(path: string, signal?: AbortSignal): Promise<FileFacts>;
  /** The length of a complete file, in bytes. */
  size(path: string): Promise<number>;
  /** Whether a complete file of this name is there. */
  exists(path: string): Promise<boolean>;
  /** Whether a name is free, and is the caller's from now on. */
  reserve(path: string): Promise<boolean>;
  /**
   * Begins a file. One that grows under this name already is replaced by another, so that a writer that lost its right to it can't write into
   * the new one.
   */
  create(path: string, options?: CreateOptions): Promise<GrowingFile>;
  /** Continues a resumable file where it was safe. Answers undefined where it is missing, or doesn't hold what was recorded. */
  resume(path: string, safe: SafePart): Promise<GrowingFile | undefined>;
  /** Puts a growing file aside, where nothing touches it; answers where, or undefined where there is none. `suffix` is part of its new name. */
  setPartAside(path: string, suffix: string): Promise<string | undefined>;
  /** Removes what grows under a name. What isn't there is fine. */
  discard(path: string): Promise<void>;
  /** Removes a file, or a folder with all that is in it; what isn't there is fine. */
  remove(path: string): Promise<void>;
  /**
   * Removes what was begun and is nobody's any more, where it would lie hidden: what was sent of files that got no name within a day, and
   * what is safe of resumable ones that nobody has continued for a week. Answers how much it was.
   */
  removeAbandoned(signal: AbortSignal, now?: number): Promise<number>;
}

/** The folders that hold the files of runs. A message must not name any other file, such as the extractor's state. */
export const RUN_FILES = /^(raw_[^/]+|processed_[^/]+|dlq)\/./;

/** The folder of encrypted copies; no message names one. */
export const SEALED_FILES = /^sealed\/./;

/** The path in its plainest form, where it is one of `allowed` folders below `root`. @throws PermanentError */
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
