/**
 * The extractor's state on the local disk, and its locks: one extraction per pipeline at a time, also across processes.
 */
import { hostname } from "node:os";
import { dirname } from "node:path";
import { Busy } from "../shared/errors/errors.ts";
import { fileError } from "../shared/files/disk.ts";
import { LocalDocuments } from "../shared/files/documents.ts";
import type { LockOptions, State, StateLock } from "../shared/files/state.ts";

/** The state in `folder`, `DATA_DIR/state`. A process holds its lock until it ends, even if it hangs. */
export class LocalState extends LocalDocuments implements State {
  async lock(name: string, options: LockOptions): Promise<StateLock> {
    const held = await lock(this.placeOf(`${name}.lock`), options);
    return { documents: this, [Symbol.dispose]: () => held[Symbol.dispose]() };
  }
}

/** Takes the lock file `path` if it is free. Disposing releases it, and so does the end of the process. */
async function tryLock(path: string): Promise<Disposable | undefined> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    using opened = new DisposableStack();
    const file = opened.use(await Deno.open(path, { read: true, write: true, create: true }));
    if (!(await file.tryLock(true))) return undefined;
    await file.truncate(0);
    await file.write(
      new TextEncoder().encode(`process ${Deno.pid} on ${hostname()} since ${new Date().toISOString()}\n`),
    );
    return opened.move();
  } catch (error) {
    throw fileError("lock", path, error);
  }
}

/**
 * Takes the lock file `path`, waiting up to `waitMs` for its holder.
 *
 * @throws Busy naming the holder when the wait times out. @throws the signal's reason when `signal` was aborted.
 */
async function lock(path: string, { waitMs, sleep, signal }: LockOptions): Promise<Disposable> {
  const stepMs = 500;
  for (let waited = 0;; waited += stepMs) {
    const taken = await tryLock(path);
    if (taken !== undefined) return taken;
    if (waited >= waitMs) {
      const holder = (await Deno.readTextFile(path).catch(() => "")).trim().slice(0, 200) ||
        "another process";
      throw new Busy(
        `Cannot start to extract: ${holder} extracts on the same data directory (${path}). It will be retried.`,
      );
    }
    await sleep(stepMs, signal);
    signal.throwIfAborted();
  }
}
