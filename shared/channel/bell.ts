/** Waiting for news without missing any: take the number of rings, look, and wait for the next ring after that number. */
import type { Claim } from "./channel.ts";

/** Something that rings when there may be news. */
export interface Wakeup {
  /** How often it has rung. */
  readonly rings: number;
  /** Resolves at once when it has rung since there were `since` rings, else at the next ring, after `ms`, or when `signal` aborts. */
  wait(since: number, ms: number, signal: AbortSignal): Promise<void>;
}

/** Longest delay that a timer takes; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A wake-up that is rung by hand. */
export class Bell implements Wakeup {
  #rings = 0;
  readonly #waiting = new Set<() => void>();

  /** How often it has rung. */
  get rings(): number {
    return this.#rings;
  }

  ring(): void {
    this.#rings += 1;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next ring after ring number `since`, after `ms`, or when `signal` aborts. Leaves neither timer nor listener behind. */
  wait(since: number, ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#rings !== since) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
      signal.addEventListener("abort", wake, { once: true });
      this.#waiting.add(wake);
    });
  }
}

/**
 * Looks for a message until there is one; `undefined` once `signal` is aborted. `look` answers a claim, or for how many milliseconds
 * looking again is pointless unless it rings. A claim that it answers is always passed on, aborted or not.
 */
export async function waitForClaim(
  bell: Wakeup,
  signal: AbortSignal,
  look: () => Promise<Claim | number>,
): Promise<Claim | undefined> {
  while (!signal.aborted) {
    const { rings } = bell;
    const found = await look();
    if (typeof found !== "number") return found;
    await bell.wait(rings, found, signal);
  }
  return undefined;
}

/** Yields what `read` finds, and reads again at each ring, at least every `pollMs`, until `signal` is aborted. */
export async function* readAtEachRing(
  bell: Wakeup,
  signal: AbortSignal,
  read: () => Promise<string[]>,
  pollMs: number,
): AsyncGenerator<string> {
  while (!signal.aborted) {
    const { rings } = bell;
    const bodies = await read();
    for (const body of bodies) {
      if (signal.aborted) return;
      yield body;
    }
    if (bodies.length === 0) await bell.wait(rings, pollMs, signal);
  }
}
