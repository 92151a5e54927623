/**
 * Tracks which failed tries were reported. Otherwise a server that is unavailable for a week would fill channel and
 * database with one sentence.
 */

/** How long a reported reason isn't reported again, in milliseconds. */
const SILENT_MS = 3_600_000;

/** Number of messages that are remembered; forgetting one costs one more report. */
const REMEMBERED = 1_000;

/** The reported failures of one actor instance, by message. */
export class ReportedRetries {
  readonly #reported = new Map<string, Map<string, number>>(); // message -> reason -> when, in milliseconds of `performance.now`

  has(id: string): boolean {
    return this.#reported.has(id);
  }

  /** Whether to report `reason`: it is new for the message, or was last reported an hour ago. Marks it as reported. */
  isDue(id: string, reason: string, now: number = performance.now()): boolean {
    const reasons = this.#reported.get(id) ?? new Map<string, number>();
    for (const [known, at] of reasons) if (now - at >= SILENT_MS) reasons.delete(known);
    if (reasons.has(reason)) return false;
    this.#reported.set(id, reasons.set(reason, now));
    if (this.#reported.size > REMEMBERED) this.forget(this.#reported.keys().next().value!);
    return true;
  }

  forget(id: string): void {
    this.#reported.delete(id);
  }
}
