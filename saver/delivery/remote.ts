import { Buffer } from "node:buffer";
import { posix } from "node:path";
import type { FileEntry, SFTPWrapper, Stats } from "ssh2";
import { PermanentError } from "../../shared/errors/errors.ts";
import type { Callback, Connection } from "./connection.ts";
import { requestFailure, STATUS, statusOf } from "./failure.ts";

interface RemoteFacts {
  readonly size: number;
  readonly folder: boolean;
}

/** Milliseconds for cleanup after a failure. */
const TIDY_MS = 2_000;

type Send<T> = (done: Callback<T>) => void;

/** One SFTP session. All methods throw `TransientError`, `PermanentError` or the reason of the signal. */
export class Remote {
  private constructor(
    private readonly connection: Connection,
    private readonly sftp: SFTPWrapper,
    private readonly signal: AbortSignal,
  ) {}

  /** The session ends with the connection. */
  static async open(connection: Connection, signal: AbortSignal): Promise<Remote> {
    return new Remote(connection, await connection.sftp(signal), signal);
  }

  /** The absolute path of the folder `path`, which is created with its parents if missing. */
  async folder(path: string): Promise<string> {
    const home = path.startsWith("/")
      ? "/"
      : await this.#ask<string>("find the home folder of", path, (done) => this.sftp.realpath(".", done));
    // some servers name the home by a relative path
    const absolute = posix.resolve("/", home, path);
    await this.#makeFolder(absolute);
    return absolute;
  }

  /** Undefined if nothing exists at `path`. */
  async facts(path: string): Promise<RemoteFacts | undefined> {
    const stats = await this.#ask<Stats | undefined>(
      "look at",
      path,
      (done) => this.sftp.stat(path, absentAs(done)),
    );
    return stats && { size: stats.size, folder: stats.isDirectory() };
  }

  /**
   * The entries of the folder `path`, with the time of their last change in seconds since 1970. Only one reply of the server is in memory at a time.
   */
  async *entries(path: string): AsyncGenerator<{ readonly name: string; readonly changedAt: number }> {
    const handle = await this.#ask<Buffer>("list", path, (done) => this.sftp.opendir(path, done));
    try {
      for (;;) {
        const page = await this.#ask<FileEntry[] | undefined>(
          "list",
          path,
          (done) => this.sftp.readdir(handle, endAs(done)),
        );
        // some servers end a list by an empty page
        if (page === undefined || page.length === 0) return;
        for (const { filename, attrs } of page) yield { name: filename, changedAt: attrs.mtime };
      }
    } finally {
      await this.connection.request<void>(
        (done) => this.sftp.close(handle, done),
        AbortSignal.timeout(TIDY_MS),
      ).catch(() => {});
    }
  }

  /** Creates a file, readable by all users as far as the server's umask allows. */
  create(path: string): Promise<RemoteFile> {
    return this.#open("create", path, (done) => this.sftp.open(path, "wx", 0o644, done));
  }

  read(path: string): Promise<RemoteFile> {
    return this.#open("read", path, (done) => this.sftp.open(path, "r", done));
  }

  /**
   * Renames `from` to `to` atomically; returns false if that name is taken. SFTP's plain rename never replaces a file, unlike OpenSSH's extension
   * `posix-rename`.
   */
  async rename(from: string, to: string): Promise<boolean> {
    try {
      await this.#ask<void>("rename", from, (done) => this.sftp.rename(from, to, done));
      return true;
    } catch (error) {
      this.signal.throwIfAborted();
      if ((await this.facts(to)) !== undefined) return false;
      throw error;
    }
  }

  /** Removes the file `path` if possible within a short time, even after an abort. Returns whether it no longer exists; never throws. */
  async discard(path: string): Promise<boolean> {
    try {
      const unlinked = (done: Callback<void>) => this.sftp.unlink(path, absentAs(done));
      await this.connection.request(unlinked, AbortSignal.timeout(TIDY_MS));
      return true;
    } catch {
      return false;
    }
  }

  async #makeFolder(path: string): Promise<void> {
    const there = await this.facts(path);
    if (there?.folder) return;
    if (there !== undefined) {
      throw new PermanentError(
        `Cannot deliver into "${path}" on the SFTP server: it is a file, wanted a folder. Move it away, or name another SFTP_REMOTE_DIR.`,
      );
    }
    await this.#makeFolder(posix.dirname(path));
    try {
      await this.#ask<void>("make the folder", path, (done) => this.sftp.mkdir(path, { mode: 0o755 }, done));
    } catch (error) {
      // another delivery may have created it meanwhile
      if (this.signal.aborted || !(await this.facts(path))?.folder) throw error;
    }
  }

  async #open(action: string, path: string, send: Send<Buffer>): Promise<RemoteFile> {
    const handle = await this.#ask(action, path, send);
    return new RemoteFile(path, handle, this.connection, this.sftp, this.signal);
  }

  #ask<T>(action: string, path: string, send: Send<T>): Promise<T> {
    return ask(this.connection, this.signal, action, path, send);
  }
}

/** An open remote file. Reads and writes state their position; any number may be pending. */
export class RemoteFile implements AsyncDisposable {
  #open = true;

  constructor(
    private readonly path: string,
    private readonly handle: Buffer,
    private readonly connection: Connection,
    private readonly sftp: SFTPWrapper,
    private readonly signal: AbortSignal,
  ) {}

  /** The block can be reused as soon as this returns its promise. */
  write(block: Buffer, position: number): Promise<void> {
    return this.#ask("write", (done) => this.sftp.write(this.handle, block, 0, block.length, position, done));
  }

  /** Fills `block` from `position` on; returns the number of bytes, fewer only at the end of the file. */
  async read(block: Buffer, position: number): Promise<number> {
    let filled = 0;
    while (filled < block.length) {
      const read = await this.#ask<number>(
        "read",
        (done) => this.sftp.read(this.handle, block, filled, block.length - filled, position + filled, done),
      );
      if (read === 0) break;
      filled += read;
    }
    return filled;
  }

  /** Flushes the file to the server's disk, if the server supports that (OpenSSH does). */
  async sync(): Promise<void> {
    await this.#ask<void>("write to disk", (done) => {
      try {
        this.sftp.ext_openssh_fsync(this.handle, done);
      } catch {
        // ssh2 throws if the server doesn't support it
        done(null, undefined);
      }
    });
  }

  /** The server has all writes once this resolves. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#ask<void>("close", (done) => this.sftp.close(this.handle, done));
  }

  /** Closes the file if possible within a short time. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.connection.request<void>(
      (done) => this.sftp.close(this.handle, done),
      AbortSignal.timeout(TIDY_MS),
    ).catch(() => {});
  }

  #ask<T>(action: string, send: Send<T>): Promise<T> {
    return ask(this.connection, this.signal, action, this.path, send);
  }
}

async function ask<T>(
  connection: Connection,
  signal: AbortSignal,
  action: string,
  path: string,
  send: Send<T>,
): Promise<T> {
  try {
    return await connection.request(send, signal);
  } catch (error) {
    throw signal.aborted ? error : requestFailure(action, path, error);
  }
}

type Answered<T> = (error: Error | null | undefined, found?: T) => void;

function absentAs<T>(done: Callback<T | undefined>): Answered<T> {
  return without(STATUS.NO_SUCH_FILE, done);
}

function endAs<T>(done: Callback<T | undefined>): Answered<T> {
  return without(STATUS.END, done);
}

function without<T>(status: number, done: Callback<T | undefined>): Answered<T> {
  return (error, found) => statusOf(error) === status ? done(null, undefined) : done(error, found);
}
