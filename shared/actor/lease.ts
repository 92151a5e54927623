import type { Claim } from "../channel/channel.ts";
import { LeaseLost, TransientError } from "../errors/errors.ts";

/** The work must stop before its end, for a reason other than the message. */
export class HandBack extends TransientError {
  override readonly name: string = "HandBack";
}

/** The work didn't end after its signal was aborted: it hangs. */
export class Stuck extends TransientError {
  override readonly name: string = "Stuck";
}

interface WorkLimits {
  /** Aborted to stop the process. */
  readonly signal: AbortSignal;
  /** Length of the lease in milliseconds; it is renewed after each third of that. */
  readonly leaseMs: number;
  /** Milliseconds without progress until the work is aborted. */
  readonly stallMs: number;
  /** Milliseconds from the request to stop until the work is aborted. */
  readonly graceMs: number;
  /** Milliseconds that aborted work has to end; after that it counts as stuck. */
  readonly endMs: number;
}

/** A message being handled: its lease is renewed until this is disposed of. */
export interface Work extends Disposable {
  /** Aborted when the work must stop; the reason is an error. */
  readonly signal: AbortSignal;
  readonly abort: (reason: Error) => void;
  readonly progressed: () => void;
  /** The value of `promise`. @throws Stuck when the work was aborted and `promise` stays pending. */
  until<T>(promise: Promise<T>): Promise<T>;
}

/** After a stop the process has this little time left, even if work hangs; in milliseconds. */
const END_WHEN_STOPPED_MS = 2_000;

/** Renews the lease of `claim` and enforces `limits`. `onRenewed` is called after each renewal. */
export function keepLease(claim: Claim, limits: WorkLimits, onRenewed: () => void): Work {
  const { signal, leaseMs, stallMs, graceMs, endMs } = limits;
  const controller = new AbortController();
  const abort = (reason: Error) => controller.abort(reason);
  let progressedAt = performance.now();
  const watch = setInterval(() => {
    if (performance.now() - progressedAt <= stallMs) return;
    abort(
      new TransientError(
        `Stopped the work: it reported no progress for ${stallMs / 1000} s. It will be retried.`,
      ),
    );
  }, Math.min(stallMs / 4, 10_000));
  const renewal = setInterval(() => {
    claim.extend().then(onRenewed, (error) => {
      if (error instanceof LeaseLost) abort(error);
    });
  }, leaseMs / 3);
  let grace: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    grace = setTimeout(
      () => abort(new HandBack("The service stops; the message is handed back untouched.")),
      graceMs,
    );
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return {
    signal: controller.signal,
    abort,
    progressed: () => progressedAt = performance.now(),
    async until(promise) {
      const stuck = Promise.withResolvers<never>();
      let end: ReturnType<typeof setTimeout> | undefined;
      const onAbort = () => {
        end = setTimeout(
          () => stuck.reject(new Stuck("The work did not end after it was stopped.")),
          controller.signal.reason instanceof HandBack ? Math.min(endMs, END_WHEN_STOPPED_MS) : endMs,
        );
      };
      if (controller.signal.aborted) onAbort();
      else controller.signal.addEventListener("abort", onAbort, { once: true });
      try {
        return await Promise.race([promise, stuck.promise]);
      } finally {
        clearTimeout(end);
        controller.signal.removeEventListener("abort", onAbort);
      }
    },
    [Symbol.dispose]() {
      clearInterval(watch);
      clearInterval(renewal);
      clearTimeout(grace);
      signal.removeEventListener("abort", stop);
    },
  };
}
