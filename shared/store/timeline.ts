/** Facts about a run that are computed from its events and aren't in its row. */
import { z } from "zod";
import { LookupGap, type Phase, PHASES, ReasonCount, type RunEvent } from "../contracts/messages.ts";

/** How a phase of a run went. */
export interface PhaseTime {
  readonly phase: Phase;
  /** When it was first started. */
  readonly startedAt: string;
  /** When it completed or failed; null until then. */
  readonly finishedAt: string | null;
  /** From start to end, retries and pauses included, in milliseconds. */
  readonly durationMs: number | null;
  /** How often it was started. */
  readonly attempts: number;
  /** Records that it handled, if reported. */
  readonly records: number | null;
  /** Records per second, if both are known. */
  readonly recordsPerSecond: number | null;
}

/** How often a rule failed in a run. */
export interface Reason {
  /** Field and kind of problem, such as `age: greater than 65`. */
  readonly reason: string;
  readonly count: number;
}

/** How often a value was missing in the lookup. */
export interface Gap {
  /** The value as the records spell it; the name is a contract. */
  readonly department: string;
  readonly count: number;
}

/** The phases of one run that were started, in order; its events come oldest first. */
export function phasesOf(events: readonly RunEvent[]): PhaseTime[] {
  return PHASES.flatMap((phase) => {
    const all = events.filter((event) => "phase" in event && event.phase === phase);
    // the phase before which a run was held begins at its release
    const own = all.slice(all.findLastIndex((event) => event.type === "run_held") + 1);
    const starts = own.filter((event) => event.type === "phase_started");
    if (starts.length === 0) return [];
    const end = own.findLast((event) => event.type === "phase_completed" || event.type === "run_failed");
    const startedAt = starts[0]!.published_at;
    // a phase that was restarted after a failure is still running
    const finishedAt = end !== undefined && end.published_at >= starts.at(-1)!.published_at
      ? end.published_at
      : null;
    const durationMs = finishedAt === null ? null : Date.parse(finishedAt) - Date.parse(startedAt);
    const records = end?.type === "phase_completed" && typeof end.detail.records === "number"
      ? end.detail.records
      : null;
    return [{
      phase,
      startedAt,
      finishedAt,
      durationMs,
      attempts: starts.length,
      records,
      recordsPerSecond: records === null || !durationMs ? null : records / (durationMs / 1000),
    }];
  });
}

/** The reasons why records were invalid, as the transformer last reported; empty before. */
export function reasonsOf(events: readonly RunEvent[]): Reason[] {
  return z.array(ReasonCount).catch([]).parse(transformed(events)?.reasons);
}

/** Departments that the lookup lacked, as the transformer last reported; empty before. */
export function lookupGapsOf(events: readonly RunEvent[]): Gap[] {
  return z.array(LookupGap).catch([]).parse(transformed(events)?.lookup_gaps);
}

/** The page of the source that a line of the raw file came from. */
export interface PageOfLine {
  /** Counted from 1, in the order in which pages were asked for. */
  readonly page: number;
  /** The request for it, such as `skip=200`, if known. */
  readonly request: string | null;
}

const ReportedPages = z.object({
  page_sizes: z.array(z.tuple([z.number(), z.number()])),
  paging: z.string().optional(),
  first_page: z.string().optional(),
});

/** The page that line `line` of a run's raw file came from; undefined if the extractor didn't report it. */
export function pageOfLine(events: readonly RunEvent[], line: number): PageOfLine | undefined {
  const { data: reported } = ReportedPages.safeParse(completed(events, "EXTRACTING"));
  let [before, pages] = [0, 0];
  for (const [count, size] of reported?.page_sizes ?? []) {
    if (line <= before + count * size) {
      const skipped = Math.floor((line - 1 - before) / size);
      const [, parameter, first] = /^(.+)=(\d+)$/.exec(reported!.first_page ?? "") ?? [];
      const passed = reported!.paging === "offset" ? before + skipped * size : pages + skipped;
      return {
        page: pages + skipped + 1,
        request: parameter === undefined ? null : `${parameter}=${Number(first) + passed}`,
      };
    }
    before += count * size;
    pages += count;
  }
  return undefined;
}

function transformed(events: readonly RunEvent[]): Record<string, unknown> | undefined {
  return completed(events, "TRANSFORMING");
}

/** The last report of a completed phase. */
function completed(events: readonly RunEvent[], phase: Phase): Record<string, unknown> | undefined {
  const last = events.findLast((event) => event.type === "phase_completed" && event.phase === phase);
  return last?.type === "phase_completed" ? last.detail : undefined;
}
