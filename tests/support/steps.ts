/**
 * Stops a process at one of the steps at which it changes something outside of itself, so that a test can
 * kill it there. For `deno run --preload`: the program that follows is the real one and doesn't notice.
 *
 * A step is the moment before a file is opened for writing, written, truncated, synced, renamed or removed,
 * before and after a transaction is committed, and before bytes are sent to a watched port.
 *
 * @module
 */
import net from "node:net";
import { DatabaseSync, StatementSync } from "node:sqlite";

/** Written to standard error by a process that stands still. */
export const STANDS_STILL = "stands still at step";

/**
 * The highest step number of the main thread. Steps of other threads are counted separately in each thread,
 * from here on.
 */
export const BEFORE_THREADS = 10_000;

export interface Standstill {
  /** The step's number, counted from 1, or its name. */
  readonly last: number | string;
  /** Ports whose packets also count as steps. */
  readonly ports: readonly number[];
}

/** Makes this process, or this thread of it, stand still for ever at a step. */
export function standStillAt({ last, ports }: Standstill, before = 0): void {
  let steps = before;
  const step = (what: string) => {
    if (++steps !== last && (typeof last === "number" || !what.includes(last))) return;
    Deno.stderr.writeSync(new TextEncoder().encode(`${STANDS_STILL} ${steps}: ${what}\n`));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  };
  watchFiles(step);
  watchCommits(step);
  watchPackets(step, ports);
}

/**
 * Makes the process's threads run `program` (a URL) instead of theirs. It has to make them stand still, and
 * import theirs.
 */
export function haveThreadsRun(program: string): void {
  globalThis.Worker = class extends Worker {
    constructor(_: string | URL, options?: WorkerOptions) {
      super(program, options);
    }
  };
}

type Step = (what: string) => void;

/** Makes method `name` of `owner` take a step first, if `what` names one. */
function before<T extends object, K extends keyof T>(
  owner: T,
  name: K,
  step: Step,
  what: (self: unknown, args: unknown[]) => string | undefined,
  after = false,
): void {
  const method = owner[name] as (...args: unknown[]) => unknown;
  owner[name] = function (this: unknown, ...args: unknown[]) {
    const named = what(this, args);
    if (named !== undefined) step(named);
    const result = method.apply(this, args);
    if (named !== undefined && after) step(`${named}, done`);
    return result;
  } as T[K];
}

function watchFiles(step: Step): void {
  before(Deno, "open", step, (_, [path, options]) => {
    const { write = false, append = false } = (options ?? {}) as Deno.OpenOptions;
    return write || append ? `open ${path}` : undefined;
  });
  for (const name of ["rename", "remove"] as const) {
    before(Deno, name, step, (_, [path]) => `${name} ${path}`);
  }
  for (const name of ["write", "truncate", "syncData", "sync"] as const) {
    before(Deno.FsFile.prototype, name, step, () => `${name} a file`);
  }
}

function watchCommits(step: Step): void {
  const commit = (sql: unknown) => sql === "COMMIT" ? "commit" : undefined;
  before(DatabaseSync.prototype, "exec", step, (_, [sql]) => commit(sql), true);
  before(
    StatementSync.prototype,
    "run",
    step,
    (self) => commit((self as StatementSync & { sourceSQL: string }).sourceSQL),
    true,
  );
}

function watchPackets(step: Step, ports: readonly number[]): void {
  before(
    net.Socket.prototype,
    "write",
    step,
    (self) => ports.includes((self as net.Socket).remotePort!) ? "send a packet" : undefined,
  );
}
