/**
 * What a look at one thing has shown.
 *
 * @module
 */
import { messageOf } from "../../shared/errors/errors.ts";

/**
 * `equal`: it is what was recorded. `differs`, `missing`: it isn't. `failed`: it couldn't be looked at. `removed`: retention took it away.
 * `skipped`: there is nothing that it could be compared with.
 */
export type Result = "equal" | "differs" | "missing" | "failed" | "removed" | "skipped";

/** The result, and in words what was found and what to do. */
export interface Finding {
  /** What came of the comparison. */
  readonly result: Result;
  /** What was found, and where something is wrong, what to do. Never a record's content. */
  readonly detail: string;
}

/** A finding and what it is about. */
export interface Item extends Finding {
  readonly run_id: string;
  readonly place: "run" | "local" | "database" | "transform" | "deliveries" | "server";
  /** Which of the run's files; `counts` for its numbers. */
  readonly file: "raw" | "processed" | "invalid" | "manifest" | "counts";
}

export function isFine({ result }: Finding): boolean {
  return result === "equal" || result === "removed" || result === "skipped";
}

/** What `look` finds; that it couldn't look is a finding too. */
export async function finding(look: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return { result: "failed", detail: messageOf(error) };
  }
}
