/**
 * A disk that fails at one of the steps at which this process changes it.
 *
 * @module
 */

/** The errors of a disk. A full disk stays full, but allows renames and removals; a broken sector fails once. */
export const FAULTS = {
  ENOSPC: { text: "No space left on device (os error 28)", stays: true },
  EIO: { text: "Input/output error (os error 5)", stays: false },
} as const;
export type Fault = keyof typeof FAULTS;

/** A disk with a fault. Disposing of it ends the fault. */
export interface FailingDisk extends Disposable {
  /** Whether a step has failed. */
  readonly hasFailed: boolean;
}

const TAKES_SPACE = new Set(["open", "mkdir", "write", "sync", "syncData"]);

/** Makes step `at` fail, counted from 1. A failing write writes half of its bytes. */
export function failWritesAt(at: number, fault: Fault): FailingDisk {
  const { text, stays } = FAULTS[fault];
  const restores: (() => void)[] = [];
  let [steps, failed] = [0, false];
  const isDue = (name: string) => {
    if (stays && !TAKES_SPACE.has(name)) return false;
    steps += 1;
    return stays ? steps >= at : steps === at;
  };
  const watch = <T extends object, K extends keyof T & string>(
    owner: T,
    name: K,
    isStep: (args: unknown[]) => boolean = () => true,
  ) => {
    const method = owner[name] as (...args: unknown[]) => Promise<unknown>;
    owner[name] = async function (this: unknown, ...args: unknown[]) {
      if (!isStep(args) || !isDue(name)) return await method.apply(this, args);
      failed = true;
      if (name === "write") {
        const [bytes] = args as [Uint8Array];
        await method.call(this, bytes.subarray(0, bytes.length >> 1));
      }
      throw Object.assign(new Error(text), { code: fault });
    } as T[K];
    restores.push(() => owner[name] = method as T[K]);
  };
  watch(Deno, "open", ([, options]) => {
    const { write = false, append = false } = (options ?? {}) as Deno.OpenOptions;
    return write || append;
  });
  for (const name of ["mkdir", "rename", "remove"] as const) watch(Deno, name);
  for (const name of ["write", "truncate", "syncData", "sync"] as const) watch(Deno.FsFile.prototype, name);
  return {
    get hasFailed() {
      return failed;
    },
    [Symbol.dispose]: () => restores.forEach((restore) => restore()),
  };
}
