/** One client's SFTP session: executes requests of protocol version 3 on the files of a jail. */
import { Buffer } from "node:buffer";
import { posix } from "node:path";
import ssh2, { type Attributes, type FileEntry, type SFTPWrapper } from "ssh2";
import type { Jail } from "./jail.ts";

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp;
const { OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE } = STATUS_CODE;
const { READ, WRITE, APPEND, CREAT, TRUNC, EXCL } = OPEN_MODE;

const MOST_HANDLES = 256;
const MOST_BYTES = 32 * 1024;
const MOST_NAMES = 100;

/** What a handle refers to: a file, or the entries of a folder that haven't been sent yet. */
type Open = { readonly file: Deno.FsFile; readonly flags: number } | { readonly entries: FileEntry[] };

/** Serves the requests that arrive on `sftp` until the session ends. */
export function serveSession(sftp: SFTPWrapper, jail: Jail): void {
  const session = new Session(sftp, jail);
  const answer = (id: number, work: () => Promise<void> | void) => {
    // work that doesn't wait is done when this returns: a CLOSE comes after the WRITEs before it
    Promise.try(work).catch((error) => sftp.status(id, ...statusOf(error)));
  };
  sftp.on("REALPATH", (id, path) => answer(id, () => session.realpath(id, path)));
  sftp.on("STAT", (id, path) => answer(id, () => session.stat(id, path, "read")));
  sftp.on("LSTAT", (id, path) => answer(id, () => session.stat(id, path, "entry")));
  sftp.on("SETSTAT", (id, path, attrs) => answer(id, () => session.setstat(id, path, attrs)));
  sftp.on("OPEN", (id, path, flags, attrs) => answer(id, () => session.open(id, path, flags, attrs)));
  sftp.on("READ", (id, handle, at, length) => answer(id, () => session.read(id, handle, at, length)));
  sftp.on("WRITE", (id, handle, at, data) => answer(id, () => session.write(id, handle, at, data)));
  sftp.on("FSTAT", (id, handle) => answer(id, () => session.fstat(id, handle)));
  sftp.on("FSETSTAT", (id, handle, attrs) => answer(id, () => session.fsetstat(id, handle, attrs)));
  sftp.on("CLOSE", (id, handle) => answer(id, () => session.close(id, handle)));
  sftp.on("OPENDIR", (id, path) => answer(id, () => session.opendir(id, path)));
  sftp.on("READDIR", (id, handle) => answer(id, () => session.readdir(id, handle)));
  sftp.on("MKDIR", (id, path) => answer(id, () => session.mkdir(id, path)));
  sftp.on("RMDIR", (id, path) => answer(id, () => session.remove(id, path, true)));
  sftp.on("REMOVE", (id, path) => answer(id, () => session.remove(id, path, false)));
  sftp.on("RENAME", (id, from, to) => answer(id, () => session.rename(id, from, to)));
  // OpenSSH's client waits for the session's end when it disconnects
  sftp.on("end", () => sftp.end());
  sftp.on("close", () => session.end());
}

class Session {
  readonly #handles = new Map<number, Open>();
  #lastHandle = 0;
  #ended = false;

  constructor(private readonly sftp: SFTPWrapper, private readonly jail: Jail) {}

  realpath(id: number, path: string): void {
    const filename = normal(path);
    this.sftp.name(id, [{ filename, longname: filename, attrs: {} as Attributes }]);
  }

  async stat(id: number, path: string, intent: "read" | "entry"): Promise<void> {
    if (this.jail.namesAbove(normal(path)) !== undefined) return this.sftp.attrs(id, FOLDER_ABOVE);
    const local = await this.#local(path, intent);
    this.sftp.attrs(id, attributesOf(intent === "read" ? await Deno.stat(local) : await Deno.lstat(local)));
  }

  async setstat(id: number, path: string, attrs: Partial<Attributes>): Promise<void> {
    const local = await this.#local(path, "write");
    if (attrs.size !== undefined) await Deno.truncate(local, attrs.size);
    if (attrs.mode !== undefined) await Deno.chmod(local, attrs.mode & 0o777);
    if (attrs.mtime !== undefined) await Deno.utime(local, attrs.atime ?? attrs.mtime, attrs.mtime);
    this.sftp.status(id, OK);
  }

  async open(id: number, path: string, flags: number, attrs: Partial<Attributes>): Promise<void> {
    const write = (flags & (WRITE | APPEND)) !== 0;
    const file = await Deno.open(await this.#local(path, write || (flags & CREAT) ? "write" : "read"), {
      read: (flags & READ) !== 0 || !write,
      write,
      create: (flags & CREAT) !== 0,
      createNew: (flags & CREAT) !== 0 && (flags & EXCL) !== 0,
      truncate: (flags & TRUNC) !== 0 && write,
      mode: attrs.mode === undefined ? 0o644 : attrs.mode & 0o777,
    });
    if ((await file.stat()).isDirectory) {
      file.close();
      throw new Error("it is a folder");
    }
    this.#hold(id, { file, flags });
  }

  read(id: number, handle: Buffer, at: number, length: number): void {
    const { file } = this.#fileOf(handle);
    const data = Buffer.allocUnsafe(Math.min(length, MOST_BYTES));
    file.seekSync(at, Deno.SeekMode.Start);
    const read = file.readSync(data);
    if (read === null) this.sftp.status(id, EOF);
    else this.sftp.data(id, data.subarray(0, read));
  }

  write(id: number, handle: Buffer, at: number, data: Buffer): void {
    const { file, flags } = this.#fileOf(handle);
    if (flags & APPEND) file.seekSync(0, Deno.SeekMode.End);
    else file.seekSync(at, Deno.SeekMode.Start);
    for (let from = 0; from < data.length;) from += file.writeSync(data.subarray(from));
    this.sftp.status(id, OK);
  }

  async fstat(id: number, handle: Buffer): Promise<void> {
    this.sftp.attrs(id, attributesOf(await this.#fileOf(handle).file.stat()));
  }

  async fsetstat(id: number, handle: Buffer, attrs: Partial<Attributes>): Promise<void> {
    const { file } = this.#fileOf(handle);
    if (attrs.size !== undefined) await file.truncate(attrs.size);
    if (attrs.mtime !== undefined) await file.utime(attrs.atime ?? attrs.mtime, attrs.mtime);
    this.sftp.status(id, OK);
  }

  async close(id: number, handle: Buffer): Promise<void> {
    const open = this.#held(handle);
    this.#handles.delete(handle.readUInt32BE(0));
    if ("file" in open) {
      using file = open.file;
      // a client that has the answer may delete its own copy: the file must survive a power failure
      if (open.flags & (WRITE | APPEND)) await file.syncData();
    }
    this.sftp.status(id, OK);
  }

  async opendir(id: number, path: string): Promise<void> {
    const above = this.jail.namesAbove(normal(path));
    if (above !== undefined) {
      return this.#hold(id, { entries: above.map((name) => entryOf(name, FOLDER_ABOVE)) });
    }
    const local = await this.#local(path, "read");
    const entries: FileEntry[] = [];
    for await (const { name } of Deno.readDir(local)) {
      // it may have been removed in the meantime
      const info = await Deno.lstat(posix.join(local, name)).catch(() => undefined);
      if (info !== undefined) entries.push(entryOf(name, attributesOf(info)));
    }
    this.#hold(id, { entries });
  }

  readdir(id: number, handle: Buffer): void {
    const open = this.#held(handle);
    if (!("entries" in open)) throw new Error("it is not a folder");
    const entries = open.entries.splice(0, MOST_NAMES);
    if (entries.length === 0) this.sftp.status(id, EOF);
    else this.sftp.name(id, entries);
  }

  async mkdir(id: number, path: string): Promise<void> {
    await Deno.mkdir(await this.#local(path, "change"));
    this.sftp.status(id, OK);
  }

  async remove(id: number, path: string, folder: boolean): Promise<void> {
    const local = await this.#local(path, "change");
    if ((await Deno.lstat(local)).isDirectory !== folder) {
      throw new Error(folder ? "it is not a folder" : "it is a folder");
    }
    await Deno.remove(local);
    this.sftp.status(id, OK);
  }

  /** Never replaces an existing file: the new name is a hard link to the old file, created atomically. */
  async rename(id: number, from: string, to: string): Promise<void> {
    const [source, target] = [await this.#local(from, "change"), await this.#local(to, "change")];
    if ((await Deno.lstat(source)).isDirectory) {
      if (await Deno.lstat(target).then(() => true, () => false)) throw new Deno.errors.AlreadyExists();
      await Deno.rename(source, target);
    } else {
      await Deno.link(source, target);
      await Deno.remove(source);
    }
    using folder = await Deno.open(posix.dirname(target));
    await folder.sync();
    this.sftp.status(id, OK);
  }

  end(): void {
    this.#ended = true;
    for (const open of this.#handles.values()) if ("file" in open) open.file.close();
    this.#handles.clear();
  }

  #local(path: string, intent: Parameters<Jail["local"]>[1]): Promise<string> {
    return this.jail.local(normal(path), intent);
  }

  #hold(id: number, open: Open): void {
    if (this.#ended || this.#handles.size >= MOST_HANDLES) {
      if ("file" in open) open.file.close();
      throw new Error("too many open files");
    }
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(++this.#lastHandle);
    this.#handles.set(this.#lastHandle, open);
    this.sftp.handle(id, handle);
  }

  #held(handle: Buffer): Open {
    const open = handle.length === 4 ? this.#handles.get(handle.readUInt32BE(0)) : undefined;
    if (open === undefined) throw new Error("no such handle");
    return open;
  }

  #fileOf(handle: Buffer) {
    const open = this.#held(handle);
    if (!("file" in open)) throw new Error("it is a folder");
    return open;
  }
}

/** The absolute form of a client's path; the virtual root is every client's home. */
function normal(path: string): string {
  return posix.resolve("/", path);
}

/** The attributes of a virtual folder above the mount, which is read-only. */
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

/** A folder's entry, with its line as in `ls -l`. */
function entryOf(filename: string, attrs: Attributes): FileEntry {
  const { mode, uid, gid, size, mtime } = attrs;
  const kind = { 0o040000: "d", 0o120000: "l" }[mode & 0o170000] ?? "-";
  const rights = "rwxrwxrwx".replace(/./g, (right, at) => mode & (0o400 >> at) ? right : "-");
  const when = new Date(mtime * 1000).toISOString().slice(0, 16).replace("T", " ");
  const longname = `${kind}${rights} 1 ${uid} ${gid} ${String(size).padStart(12)} ${when} ${filename}`;
  return { filename, longname, attrs };
}

function statusOf(error: unknown): [code: number, message: string] {
  if (error instanceof Deno.errors.NotFound) return [NO_SUCH_FILE, "No such file"];
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return [PERMISSION_DENIED, "Permission denied"];
  }
  if (error instanceof Deno.errors.AlreadyExists) return [FAILURE, "That name is taken"];
  // the operating system's messages may reveal where the root is on the disk
  return [FAILURE, error instanceof Error && error.constructor === Error ? error.message : "Failure"];
}
