/**
 * Holding on to a message while it is worked on.
 *
 * @module
 */
import type { Claim } from "../channel/channel.ts";
import { LeaseLost, TransientError } from "../errors/errors.ts";

/** The work has to stop before it was done, through no fault of the message. */
export class HandBack extends TransientError {
  /** Its class, for logs. */
  override readonly name: string = "HandBack";
}

/** A message at work: its lease is renewed until this is disposed of. */
export interface Work extends AsyncDisposable {
  /** Aborted when the work has to stop; the reason is an error. */
  readonly signal: AbortSignal;
  /** Aborts the work for this reason. */
  readonly abort: (reason: Error) => void;
}

/**
 * Renews the lease of `claim` at a third of its length, and aborts the work when the lease is lost, or `graceMs` after the process was
 * told to stop. `onRenewed` is called after each renewal.
 */
export function keepLease(
  claim: Claim,
  leaseMs: number,
  { signal, graceMs = 8_000 }: { signal: AbortSignal; graceMs?: number },
  onRenewed: () => void,
): Work {
  const controller = new AbortController();
  const abort = (reason: Error) => controller.abort(reason);
  let renewing: Promise<void> = Promise.resolve();
  const renewal = setInterval(() => {
    renewing = claim.extend().then(onRenewed, (error) => {
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
    async [Symbol.asyncDispose]() {
      clearInterval(renewal);
      clearTimeout(grace);
      signal.removeEventListener("abort", stop);
      await renewing;
    },
  };
}
