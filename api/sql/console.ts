/**
 * The SQL console. Queries run in separate processes, few at a time, and are killed when they take too long or their
 * client disconnects.
 */
import type { SqlAnswer, SqlConsole } from "../ports.ts";
import { SqlBusy, SqlRefused } from "./errors.ts";
import { SqlProcess } from "./process.ts";
import { type TurnOptions, Turns } from "./turns.ts";
import type { WorkerOptions } from "./worker.ts";

interface ConsoleOptions extends WorkerOptions, TurnOptions {
  /** How long an idle process is kept, in milliseconds. Default 60,000. */
  readonly idleMs?: number;
}

/** How long a process may take to start, in milliseconds. */
const START_MS = 30_000;

/** Opens the console. The first query starts a process; one process is kept until no query has arrived for `idleMs`. */
export function openSqlConsole(options: ConsoleOptions): SqlConsole & AsyncDisposable {
  return new Console(options);
}

class Console implements SqlConsole, AsyncDisposable {
  readonly #idle: SqlProcess[] = [];
  readonly #busy = new Set<SqlProcess>();
  readonly #turns: Turns;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(private readonly options: ConsoleOptions) {
    this.#turns = new Turns(options);
  }

  query(sql: string, signal: AbortSignal): Promise<SqlAnswer> {
    return this.#turns.run(() => this.#run(sql, signal), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#rest);
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((process) => process.kill()));
  }

  async #run(sql: string, signal: AbortSignal): Promise<SqlAnswer> {
    clearTimeout(this.#rest);
    const process = this.#idle.pop() ?? this.#start();
    this.#busy.add(process);
    const { timeoutMs } = this.options;
    try {
      // the limit is one of the query: on a busy machine the start of a process takes seconds
      const start = AbortSignal.any([signal, AbortSignal.timeout(START_MS)]);
      const isReady = await killing(process, start, () => process.ready);
      const stop = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const answer = isReady ? await killing(process, stop, () => process.ask(sql)) : undefined;
      if (answer !== undefined && !this.#closed) {
        this.#idle.push(process);
        if ("refused" in answer) throw new SqlRefused(answer.refused);
        return answer;
      }
      if (signal.aborted) throw new SqlRefused("the client is gone.");
      if (start.aborted && !isReady) throw new SqlBusy(START_MS / 1000, "still starting");
      throw new SqlRefused(
        stop.aborted
          ? `the query ran for more than ${timeoutMs} ms and was ended.`
          : "the query was ended before it had an answer, as it took too much memory.",
      );
    } finally {
      this.#busy.delete(process);
      if (!this.#idle.includes(process)) await process.kill();
      if (!this.#closed) {
        if (this.#idle.length === 0) this.#idle.push(this.#start());
        clearTimeout(this.#rest);
        this.#rest = setTimeout(() => this.#endIdle(), this.options.idleMs ?? 60_000);
      }
    }
  }

  #endIdle(): void {
    for (const process of this.#idle.splice(0)) {
      this.#busy.add(process);
      void process.kill().finally(() => this.#busy.delete(process));
    }
  }

  #start(): SqlProcess {
    const { path, maxRows, maxBytes } = this.options;
    return new SqlProcess({ path, maxRows, maxBytes });
  }
}

/** Returns the outcome of `work`; kills the process if `stop` aborts meanwhile, which ends the work. */
async function killing<T>(process: SqlProcess, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
  const kill = () => void process.kill();
  stop.throwIfAborted();
  stop.addEventListener("abort", kill);
  try {
    return await work();
  } finally {
    stop.removeEventListener("abort", kill);
  }
}
