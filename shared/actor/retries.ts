/**
 * Which failed tries were reported: a server that is away for a week would else fill channel and database with the same sentence.
 *
 * @module
 */

/** How long a reason that was reported isn't reported again, in milliseconds. */
const SILENT_MS = 3_600_000;

/** How many messages are remembered; the oldest are forgotten, which costs one more report each. */
const REMEMBERED = 1_000;

/** What one instance of an actor reported of its messages' failed tries. */
export class ReportedRetries {
  readonly #reported = new Map<string, Map<string, number>>(); // message -> reason -> when, in milliseconds of `performance.now`

  /** Whether a failed try at the message was reported. */
  has(id: string): boolean {
    return this.#reported.has(id);
  }

  /** Whether `reason` is to be reported: it is new for the message, or was reported an hour ago. It counts as reported then. */
  isDue(id: string, reason: string, now: number = performance.now()): boolean {
    const reasons = this.#reported.get(id) ?? new Map<string, number>();
    for (const [known, at] of reasons) if (now - at >= SILENT_MS) reasons.delete(known);
    if (reasons.has(reason)) return false;
    this.#reported.set(id, reasons.set(reason, now));
    if (this.#reported.size > REMEMBERED) this.forget(this.#reported.keys().next().value!);
    return true;
  }

  /** Forgets a message that is settled. */
  forget(id: string): void {
    this.#reported.delete(id);
  }
}
