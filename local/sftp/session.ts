/**
 * One client's SFTP session: requests of the protocol's version 3, done on the files of a jail.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { posix } from "node:path";
import ssh2, { type Attributes, type FileEntry, type SFTPWrapper } from "ssh2";
import type { Jail } from "./jail.ts";

/** Status codes of the protocol. */
const OK = 0, END = 1, NO_SUCH_FILE = 2, PERMISSION_DENIED = 3, FAILURE = 4;
const { READ, WRITE, APPEND, CREAT, TRUNC, EXCL } = ssh2.utils.sftp.OPEN_MODE;

const MOST_HANDLES = 256;
const MOST_BYTES = 32 * 1024;
const MOST_NAMES = 100;

interface OpenFile {
  readonly file: Deno.FsFile;
  readonly append: boolean;
  readonly writes: boolean;
}

interface OpenFolder {
  readonly entries: FileEntry[];
}

/** Serves the requests that arrive on `sftp` until the session ends. */
export function serveSession(sftp: SFTPWrapper, jail: Jail): void {
  new Session(sftp, jail).serve();
}

class Session {
  readonly #handles = new Map<number, OpenFile | OpenFolder>();
  #lastHandle = 0;
  #ended = false;

  constructor(private readonly sftp: SFTPWrapper, private readonly jail: Jail) {}

  serve(): void {
    const { sftp } = this;
    sftp.on("REALPATH", (id, path) => this.#answer(id, () => this.#realpath(id, path)));
    sftp.on("STAT", (id, path) => this.#answer(id, () => this.#stat(id, path, "read")));
    sftp.on("LSTAT", (id, path) => this.#answer(id, () => this.#stat(id, path, "entry")));
    sftp.on("SETSTAT", (id, path, attrs) => this.#answer(id, () => this.#setstat(id, path, attrs)));
    sftp.on("OPEN", (id, path, flags, attrs) => this.#answer(id, () => this.#open(id, path, flags, attrs)));
    sftp.on("READ", (id, handle, at, length) => this.#answer(id, () => this.#read(id, handle, at, length)));
    sftp.on("WRITE", (id, handle, at, data) => this.#answer(id, () => this.#write(id, handle, at, data)));
    sftp.on("FSTAT", (id, handle) => this.#answer(id, () => this.#fstat(id, handle)));
    sftp.on("FSETSTAT", (id, handle, attrs) => this.#answer(id, () => this.#fsetstat(id, handle, attrs)));
    sftp.on("CLOSE", (id, handle) => this.#answer(id, () => this.#close(id, handle)));
    sftp.on("OPENDIR", (id, path) => this.#answer(id, () => this.#opendir(id, path)));
    sftp.on("READDIR", (id, handle) => this.#answer(id, () => this.#readdir(id, handle)));
    sftp.on("MKDIR", (id, path) => this.#answer(id, () => this.#mkdir(id, path)));
    sftp.on("RMDIR", (id, path) => this.#answer(id, () => this.#remove(id, path, true)));
    sftp.on("REMOVE", (id, path) => this.#answer(id, () => this.#remove(id, path, false)));
    sftp.on("RENAME", (id, from, to) => this.#answer(id, () => this.#rename(id, from, to)));
    // OpenSSH's client waits for the session's end when it leaves.
    sftp.on("end", () => sftp.end());
    sftp.on("close", () => this.#end());
  }

  #answer(id: number, work: () => Promise<void> | void): void {
    // Works that have nothing to wait for are done when this returns: a CLOSE comes after the WRITEs before it.
    Promise.try(work).catch((error) => {
      const [code, message] = statusOf(error);
      this.sftp.status(id, code, message);
    });
  }

  #realpath(id: number, path: string): void {
    const filename = normal(path);
    this.sftp.name(id, [{ filename, longname: filename, attrs: {} as Attributes }]);
  }

  async #stat(id: number, path: string, intent: "read" | "entry"): Promise<void> {
    if (this.jail.namesAbove(normal(path)) !== undefined) return this.sftp.attrs(id, FOLDER_ABOVE);
    const local = await this.jail.local(normal(path), intent);
    this.sftp.attrs(id, attributesOf(intent === "read" ? await Deno.stat(local) : await Deno.lstat(local)));
  }

  async #setstat(id: number, path: string, attrs: Partial<Attributes>): Promise<void> {
    const local = await this.jail.local(normal(path), "write");
    if (attrs.size !== undefined) await Deno.truncate(local, attrs.size);
    if (attrs.mode !== undefined) await Deno.chmod(local, attrs.mode & 0o777);
    if (attrs.mtime !== undefined) await Deno.utime(local, attrs.atime ?? attrs.mtime, attrs.mtime);
    this.sftp.status(id, OK);
  }

  async #open(id: number, path: string, flags: number, attrs: Partial<Attributes>): Promise<void> {
    const writes = (flags & (WRITE | APPEND)) !== 0;
    const local = await this.jail.local(normal(path), writes || (flags & CREAT) ? "write" : "read");
    const file = await Deno.open(local, {
      read: (flags & READ) !== 0 || !writes,
      write: writes,
      create: (flags & CREAT) !== 0,
      createNew: (flags & CREAT) !== 0 && (flags & EXCL) !== 0,
      truncate: (flags & TRUNC) !== 0 && writes,
      mode: attrs.mode === undefined ? 0o644 : attrs.mode & 0o777,
    });
    if ((await file.stat()).isDirectory) {
      file.close();
      throw new Error("it is a folder");
    }
    this.#hold(id, { file, writes, append: (flags & APPEND) !== 0 });
  }

  #read(id: number, handle: Buffer, at: number, length: number): void {
    const { file } = this.#fileOf(handle);
    const data = Buffer.allocUnsafe(Math.min(length, MOST_BYTES));
    file.seekSync(at, Deno.SeekMode.Start);
    const read = file.readSync(data);
    if (read === null) this.sftp.status(id, END);
    else this.sftp.data(id, data.subarray(0, read));
  }

  #write(id: number, handle: Buffer, at: number, data: Buffer): void {
    const { file, append } = this.#fileOf(handle);
    if (append) file.seekSync(0, Deno.SeekMode.End);
    else file.seekSync(at, Deno.SeekMode.Start);
    for (let from = 0; from < data.length;) from += file.writeSync(data.subarray(from));
    this.sftp.status(id, OK);
  }

  async #fstat(id: number, handle: Buffer): Promise<void> {
    this.sftp.attrs(id, attributesOf(await this.#fileOf(handle).file.stat()));
  }

  async #fsetstat(id: number, handle: Buffer, attrs: Partial<Attributes>): Promise<void> {
    const { file } = this.#fileOf(handle);
    if (attrs.size !== undefined) await file.truncate(attrs.size);
    if (attrs.mtime !== undefined) await file.utime(attrs.atime ?? attrs.mtime, attrs.mtime);
    this.sftp.status(id, OK);
  }

  async #close(id: number, handle: Buffer): Promise<void> {
    const open = this.#held(handle);
    this.#handles.delete(handle.readUInt32BE(0));
    if ("file" in open) {
      try {
        // Whoever gets the answer may forget the file: it has to outlive a power cut.
        if (open.writes) await open.file.syncData();
      } finally {
        open.file.close();
      }
    }
    this.sftp.status(id, OK);
  }

  async #opendir(id: number, path: string): Promise<void> {
    const above = this.jail.namesAbove(normal(path));
    if (above !== undefined) {
      return this.#hold(id, { entries: above.map((name) => entryOf(name, FOLDER_ABOVE)) });
    }
    const local = await this.jail.local(normal(path), "read");
    const entries: FileEntry[] = [];
    for await (const { name } of Deno.readDir(local)) {
      // It may have gone meanwhile.
      const info = await Deno.lstat(posix.join(local, name)).catch(() => undefined);
      if (info !== undefined) entries.push(entryOf(name, attributesOf(info)));
    }
    this.#hold(id, { entries });
  }

  #readdir(id: number, handle: Buffer): void {
    const open = this.#held(handle);
    if (!("entries" in open)) throw new Error("it is no folder");
    const entries = open.entries.splice(0, MOST_NAMES);
    if (entries.length === 0) this.sftp.status(id, END);
    else this.sftp.name(id, entries);
  }

  async #mkdir(id: number, path: string): Promise<void> {
    await Deno.mkdir(await this.jail.local(normal(path), "change"));
    this.sftp.status(id, OK);
  }

  async #remove(id: number, path: string, folder: boolean): Promise<void> {
    const local = await this.jail.local(normal(path), "change");
    if ((await Deno.lstat(local)).isDirectory !== folder) {
      throw new Error(folder ? "it is no folder" : "it is a folder");
    }
    await Deno.remove(local);
    this.sftp.status(id, OK);
  }

  /** Never replaces what has the name already: a link to a file is made in one step, or not at all. */
  async #rename(id: number, from: string, to: string): Promise<void> {
    const [source, target] = [
      await this.jail.local(normal(from), "change"),
      await this.jail.local(normal(to), "change"),
    ];
    if ((await Deno.lstat(source)).isDirectory) {
      if (await Deno.lstat(target).then(() => true, () => false)) throw new Error("that name is taken");
      await Deno.rename(source, target);
    } else {
      await Deno.link(source, target);
      await Deno.remove(source);
    }
    using folder = await Deno.open(posix.dirname(target));
    await folder.sync();
    this.sftp.status(id, OK);
  }

  #hold(id: number, open: OpenFile | OpenFolder): void {
    if (this.#ended || this.#handles.size >= MOST_HANDLES) {
      if ("file" in open) open.file.close();
      throw new Error("too many open files");
    }
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(++this.#lastHandle);
    this.#handles.set(this.#lastHandle, open);
    this.sftp.handle(id, handle);
  }

  #held(handle: Buffer): OpenFile | OpenFolder {
    const open = handle.length === 4 ? this.#handles.get(handle.readUInt32BE(0)) : undefined;
    if (open === undefined) throw new Error("no such handle");
    return open;
  }

  #fileOf(handle: Buffer): OpenFile {
    const open = this.#held(handle);
    if (!("file" in open)) throw new Error("it is a folder");
    return open;
  }

  #end(): void {
    this.#ended = true;
    for (const open of this.#handles.values()) if ("file" in open) open.file.close();
    this.#handles.clear();
  }
}

/** The absolute path that a client's path means; the virtual root is everybody's home. */
function normal(path: string): string {
  return posix.resolve("/", path);
}

/** What a virtual folder above the mount looks like: nobody may write there. */
const FOLDER_ABOVE: Attributes = { mode: 0o40555, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 };

function attributesOf(info: Deno.FileInfo): Attributes {
  const seconds = (date: Date | null) => Math.floor((date?.getTime() ?? 0) / 1000);
  return {
    mode: info.mode ?? (info.isDirectory ? 0o40755 : 0o100644),
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    size: info.size,
    atime: seconds(info.atime),
    mtime: seconds(info.mtime),
  };
}

/** A folder's entry, with the line that `ls -l` shows. */
function entryOf(filename: string, attrs: Attributes): FileEntry {
  const kind = (attrs.mode & 0o170000) === 0o40000 ? "d" : (attrs.mode & 0o170000) === 0o120000 ? "l" : "-";
  const rights = [6, 3, 0].map((shift) => {
    const bits = (attrs.mode >> shift) & 7;
    return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 1 ? "x" : "-"}`;
  }).join("");
  const when = new Date(attrs.mtime * 1000).toISOString().slice(0, 16).replace("T", " ");
  const longname = `${kind}${rights} 1 ${attrs.uid} ${attrs.gid} ${
    String(attrs.size).padStart(12)
  } ${when} ${filename}`;
  return { filename, longname, attrs };
}

function statusOf(error: unknown): [code: number, message: string] {
  if (error instanceof Deno.errors.NotFound) return [NO_SUCH_FILE, "No such file"];
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return [PERMISSION_DENIED, "Permission denied"];
  }
  if (error instanceof Deno.errors.AlreadyExists) return [FAILURE, "That name is taken"];
  // The operating system's messages may show where on the disk the root is.
  return [FAILURE, error instanceof Error && error.constructor === Error ? error.message : "Failure"];
}
