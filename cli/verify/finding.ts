import { messageOf } from "../../shared/errors/errors.ts";

/**
 * `equal`: it is as recorded. `differs`, `missing`: it isn't. `failed`: it couldn't be compared. `removed`: retention
 * removed it. `skipped`: there is nothing to compare it with.
 */
type Result = "equal" | "differs" | "missing" | "failed" | "removed" | "skipped";

export interface Finding {
  readonly result: Result;
  /** What was found and, if there is a problem, the remedy. Never a record's content. */
  readonly detail: string;
}

/** A finding and its subject. */
export interface Item extends Finding {
  readonly run_id: string;
  readonly place: "run" | "local" | "database" | "transform" | "deliveries" | "server" | "current";
  /** The kind of file; `counts` for the run's numbers, `state` for the current state of its pipeline. */
  readonly file: "raw" | "processed" | "invalid" | "manifest" | "counts" | "state";
}

export const equal = (detail: string): Finding => ({ result: "equal", detail });
export const differs = (detail: string): Finding => ({ result: "differs", detail });
export const missing = (detail: string): Finding => ({ result: "missing", detail });
export const skipped = (detail: string): Finding => ({ result: "skipped", detail });

export function isFine({ result }: Finding): boolean {
  return result === "equal" || result === "removed" || result === "skipped";
}

/** The result of `compare`; an error becomes a finding too. */
export async function finding(compare: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await compare();
  } catch (error) {
    return { result: "failed", detail: messageOf(error) };
  }
}
