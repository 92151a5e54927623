/**
 * The SQL console: queries run in processes of their own, few at a time, and are killed when they take too long or their client is gone.
 *
 * @module
 */
import type { SqlAnswer, SqlConsole } from "../ports.ts";
import { SqlBusy, SqlRefused } from "./errors.ts";
import { SqlProcess } from "./process.ts";
import type { WorkerOptions } from "./worker.ts";

/** How the console is bounded. */
export interface ConsoleOptions extends WorkerOptions {
  /** Longest run time of a query, in milliseconds. */
  readonly timeoutMs: number;
  /** Queries that run at once. Default 2. */
  readonly running?: number;
  /** Queries that may wait for their turn. Default 8. */
  readonly waiting?: number;
  /** How long a process stays ready without a query, in milliseconds. Default 60,000. */
  readonly idleMs?: number;
}

/** Opens the console. The first query starts a process; one stays ready until no query has come for `idleMs`. */
export function openSqlConsole(options: ConsoleOptions): SqlConsole & AsyncDisposable {
  return new Console(options);
}

class Console implements SqlConsole, AsyncDisposable {
  readonly #idle: SqlProcess[] = [];
  readonly #busy = new Set<SqlProcess>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(private readonly options: ConsoleOptions) {}

  async query(sql: string, signal: AbortSignal): Promise<SqlAnswer> {
    const leave = await this.#turn(signal);
    try {
      return await this.#run(sql, signal);
    } finally {
      leave();
    }
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
    const stop = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const kill = () => void process.kill();
    stop.addEventListener("abort", kill);
    try {
      stop.throwIfAborted();
      const answer = await process.ask(sql);
      if (answer !== undefined && !this.#closed) {
        this.#idle.push(process);
        if ("refused" in answer) throw new SqlRefused(answer.refused);
        return answer;
      }
      if (signal.aborted) throw new SqlRefused("the client is gone.");
      throw new SqlRefused(
        stop.aborted
          ? `the query ran for more than ${timeoutMs} ms and was ended.`
          : "the query was ended before it had an answer, as it took too much memory.",
      );
    } finally {
      stop.removeEventListener("abort", kill);
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

  /** Waits for a turn; answers what gives it to the next. */
  async #turn(signal: AbortSignal): Promise<() => void> {
    const { running = 2, waiting = 8, timeoutMs } = this.options;
    const leave = () => {
      this.#running--;
      this.#queue.shift()?.();
    };
    if (this.#running >= running) {
      if (this.#queue.length >= waiting) throw new SqlBusy(Math.ceil(timeoutMs / 1000));
      await this.#called(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    }
    this.#running++;
    return leave;
  }

  #called(giveUp: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = () => {
        giveUp.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#queue.splice(this.#queue.indexOf(call), 1);
        reject(new SqlBusy(Math.ceil(this.options.timeoutMs / 1000)));
      };
      this.#queue.push(call);
      if (giveUp.aborted) leave();
      else giveUp.addEventListener("abort", leave, { once: true });
    });
  }

  #start(): SqlProcess {
    const { path, maxRows, maxBytes } = this.options;
    return new SqlProcess({ path, maxRows, maxBytes });
  }
}
