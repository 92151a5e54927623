/**
 * A small disk for tests to fill.
 *
 * @module
 */

/** A mounted disk. Disposing of it unmounts it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Fills the free space, except for `spare` bytes. */
  fill(spare?: number): Promise<void>;
  free(): Promise<void>;
  /** Changes the size of the disk, in bytes. */
  resize(bytes: number): Promise<void>;
}

/** The name of the file that fills the disk; hidden, so that it isn't taken for data. */
const FILLER = ".filler";

/** Mounts a disk of `bytes` over the folder `path`; returns undefined if this process can't mount. */
export async function smallDisk(path: string, bytes: number): Promise<SmallDisk | undefined> {
  await Deno.mkdir(path, { recursive: true });
  const size = String(Math.ceil(bytes / 1024));
  if (!(await ran("mount", "-t", "tmpfs", "-o", `size=${size}k,mode=755`, "tmpfs", path))) return undefined;
  const filler = `${path}/${FILLER}`;
  return {
    path,
    async fill(spare = 0) {
      using file = await Deno.open(filler, { write: true, create: true, append: true });
      const block = new Uint8Array(4096);
      try {
        for (;;) await file.write(block);
      } catch {
        // The disk is full: only a failed write shows it.
      }
      await file.truncate(Math.max(0, (await file.stat()).size - spare));
    },
    async resize(bytes) {
      if (!await ran("mount", "-o", `remount,size=${Math.ceil(bytes / 1024)}k`, path)) {
        throw new Error(`Cannot give the disk at ${path} another size.`);
      }
    },
    async free() {
      await Deno.truncate(filler); // a process that another test starts may briefly inherit the open file
      await Deno.remove(filler);
    },
    async [Symbol.asyncDispose]() {
      // Lazily if a process still has a file open: the disk is unmounted with its last file.
      if (!(await ran("umount", path))) await ran("umount", "--lazy", path);
    },
  };
}

async function ran(command: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output();
  return success;
}
