/**
 * A small disk of one's own, to be filled.
 *
 * @module
 */

/** A mounted disk. Disposing of it unmounts it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Fills what is free, but for `spare` bytes. */
  fill(spare?: number): Promise<void>;
  free(): Promise<void>;
  /** Gives the disk another size, in bytes. */
  resize(bytes: number): Promise<void>;
}

/** The filler's name; hidden, so that nobody takes it for data. */
const FILLER = ".filler";

/** Mounts a disk of `bytes` over the folder `path`; undefined where this process may not mount. */
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
        // Full: there is no other way to know.
      }
      await file.truncate(Math.max(0, (await file.stat()).size - spare));
    },
    async resize(bytes) {
      if (!await ran("mount", "-o", `remount,size=${Math.ceil(bytes / 1024)}k`, path)) {
        throw new Error(`Cannot give the disk at ${path} another size.`);
      }
    },
    async free() {
      await Deno.truncate(filler); // a process that another test is starting may hold the file open for a moment
      await Deno.remove(filler);
    },
    async [Symbol.asyncDispose]() {
      // Lazily where somebody still has a file open: it goes with the last one.
      if (!(await ran("umount", path))) await ran("umount", "--lazy", path);
    },
  };
}

async function ran(command: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output();
  return success;
}
