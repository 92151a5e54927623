import { LeaseLost, TransientError } from "../errors/errors.ts";

/**
 * Milliseconds to wait after failure number `attempt`: doubles from `firstMs` to `maxMs`, minus up to a quarter as
 * jitter.
 */
export function backOff(
  attempt: number,
  { firstMs = 1_000, maxMs = 60_000, random = Math.random }: {
    firstMs?: number;
    maxMs?: number;
    random?: () => number;
  } = {},
): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full * (1 - random() / 4));
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/**
 * Does `work` immediately and then every `everyMs` milliseconds, until `signal`. Failures go to `onError`, which may
 * return how soon to retry.
 */
export async function keepDoing(
  work: () => Promise<void>,
  everyMs: number,
  signal: AbortSignal,
  onError: (error: unknown) => number | void,
): Promise<void> {
  while (!signal.aborted) {
    let waitMs = everyMs;
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      waitMs = onError(error) ?? everyMs;
    }
    await pause(waitMs, signal);
  }
}

/**
 * Repeats `work` while it throws `TransientError`, up to `tries` times or until `signal`. A lost lease isn't retried.
 */
export async function persist(work: () => Promise<void>, tries: number, signal: AbortSignal): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isFinal = !(error instanceof TransientError) || error instanceof LeaseLost;
      if (isFinal || attempt >= tries || signal.aborted) throw error;
      await pause(backOff(attempt, { firstMs: 100, maxMs: 5_000 }), signal);
    }
  }
}
