/** Waits for changes without missing any: read the number of rings, check, and wait for the next ring after that number. */
import type { Claim } from "./channel.ts";

/** Rings when there may be changes. */
export interface Wakeup {
  /** How often it has rung. */
  readonly rings: number;
  /** Resolves immediately if there have been more than `since` rings, otherwise at the next ring, after `ms`, or when `signal` aborts. */
  wait(since: number, ms: number, signal: AbortSignal): Promise<void>;
}

/** The longest delay of a timer; a longer one would fire immediately. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Bell implements Wakeup {
  #rings = 0;
  readonly #waiting = new Set<() => void>();

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
 * Calls `look` until it returns a claim; `undefined` once `signal` is aborted. Otherwise `look` returns the milliseconds until the next call, unless
 * the bell rings earlier. A claim is always returned, aborted or not.
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
