/** Runs that can't continue: the source must be read from its beginning. */
import { PermanentError } from "../shared/errors/errors.ts";
import type { Unfinished } from "./checkpoint.ts";
import type { Source } from "./source.ts";

/**
 * The run's data and the source's answers contradict each other, so the next run reads the source from its beginning.
 */
export class BeginAgain extends PermanentError {
  override readonly name: string = "BeginAgain";
}

/** The source has changed since an unfinished run read it: the run can't be resumed, only restarted. */
export class Outdated extends BeginAgain {
  override readonly name: string = "Outdated";
}

/** Why an unfinished run can't be resumed, as far as is known before a request; undefined if it can. */
export function outdatedBy(
  { run_id, started_at, last_skip, asks }: Unfinished,
  source: Source,
  { now, maxAgeMs }: { now: number; maxAgeMs: number },
): string | undefined {
  const why = now - Date.parse(started_at) > maxAgeMs
    ? `it began more than ${maxAgeMs / 3_600_000} h ago (RESUME_MAX_AGE_HOURS), at ${started_at}`
    : asks !== undefined && asks !== source.asks
    ? "the definition now requests something else"
    : undefined;
  return why &&
    `Run ${run_id} of ${source.name}, unfinished at record ${last_skip}, is not resumed: ${why}. The source is read from its beginning.`;
}
