/** Limits concurrent queries: few run, some wait, others are refused and must be sent again later. */
import { SqlBusy } from "./errors.ts";

export interface TurnOptions {
  /** Maximum run time of a query, in milliseconds, and maximum wait for its turn. */
  readonly timeoutMs: number;
  /** Maximum number of queries that run at once. Default 2. */
  readonly running?: number | undefined;
  /** Maximum number of queries that wait for their turn. Default 8. */
  readonly waiting?: number | undefined;
}

export class Turns {
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(private readonly options: TurnOptions) {}

  /**
   * Runs `work` in its turn.
   *
   * @throws SqlBusy when too many wait, or the wait takes too long.
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { running = 2, waiting = 8, timeoutMs } = this.options;
    if (this.#running >= running) {
      if (this.#queue.length >= waiting) throw this.#busy();
      await this.#called(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    }
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#queue.shift()?.();
    }
  }

  #called(giveUp: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = () => {
        giveUp.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#queue.splice(this.#queue.indexOf(call), 1);
        reject(this.#busy());
      };
      this.#queue.push(call);
      if (giveUp.aborted) leave();
      else giveUp.addEventListener("abort", leave, { once: true });
    });
  }

  #busy(): SqlBusy {
    return new SqlBusy(Math.ceil(this.options.timeoutMs / 1000));
  }
}
