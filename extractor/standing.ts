/**
 * Which run of a pipeline is held, and up to which moment its changes are loaded. Stored separately from the
 * checkpoint, as it changes while a run is extracted.
 */
import { z } from "zod";
import { pause } from "../shared/actor/backoff.ts";
import {
  Moment,
  OUTCOMES_EVERY_MS,
  RunId,
  type RunOutcome,
  type SinceRange,
} from "../shared/contracts/messages.ts";
import { type Documents, parsedAs } from "../shared/files/documents.ts";
import type { State } from "../shared/files/state.ts";
import { later } from "../shared/pipeline/moments.ts";

const Standing = z.object({
  /** The next run requests changes since this moment; absent before the first loaded run. */
  cursor: Moment.optional(),
  /** The field that the cursor's values come from; see `SinceRange.of`. */
  of: z.string().optional(),
  rewinds: z.int().nonnegative().default(0),
  /** The run that waits for a decision; later runs wait for it. */
  held: RunId.optional(),
  /** When the saver last reported that, in milliseconds since 1970. */
  held_at: z.number().default(0),
  /** The last run with a decision: a later message that it is held is outdated. */
  decided: RunId.optional(),
});
export type Standing = z.output<typeof Standing>;

/**
 * An unreadable document counts as empty: the saver repeats its content within minutes. @throws as `Documents.read`.
 */
export async function standingOf(state: Documents, pipeline: string): Promise<Standing> {
  return parsedAs(Standing, await state.read(nameOf(pipeline)) ?? "{}") ?? Standing.parse({});
}

/**
 * Changes a pipeline's standing. Changes are serialized, also across processes. Returns the result.
 *
 * @throws as `State.lock` and `Documents.write`.
 */
export async function changeStanding(
  state: State,
  pipeline: string,
  change: (standing: Standing) => Standing,
  signal: AbortSignal,
): Promise<Standing> {
  // other holders keep the lock only while they write a small file
  const sleep = (_ms: number, signal: AbortSignal) => pause(20, signal);
  using lock = await state.lock(`standing/${pipeline}`, { waitMs: 30_000, sleep, signal });
  const before = await standingOf(lock.documents, pipeline);
  const after = change(before);
  if (JSON.stringify(after) !== JSON.stringify(before)) {
    await lock.documents.write(nameOf(pipeline), JSON.stringify(after));
  }
  return after;
}

/** The standing after `outcome`, which may be outdated. */
export function after(standing: Standing, { outcome, run_id, since }: RunOutcome, now: number): Standing {
  const { held, ...others } = standing;
  if (outcome === "held") {
    return standing.decided === run_id ? standing : { ...standing, held: run_id, held_at: now };
  }
  const free = held === undefined || held === run_id ? others : standing;
  if (outcome === "loaded") return since === undefined ? free : loaded(free, since);
  return { ...free, decided: run_id };
}

/**
 * If a run's range starts at or before the cursor, nothing between them is missing: all changes up to the run's
 * greatest value are loaded.
 */
function loaded(standing: Standing, { from, to = from, of, rewinds }: SinceRange): Standing {
  if (rewinds < standing.rewinds) return standing;
  const before = rewinds > standing.rewinds ? undefined : cursorOf(standing, of);
  return { ...standing, of, rewinds, cursor: later(before, to)! };
}

export function rewound(standing: Standing, of: string, moment: Moment): Standing {
  return { ...standing, of, cursor: moment, rewinds: standing.rewinds + 1 };
}

/** The moment since which to request changes; undefined if no such values have been loaded. */
export function cursorOf(standing: Standing, of: string): Moment | undefined {
  return standing.of === of ? standing.cursor : undefined;
}

/**
 * How long a run counts as held without a further message, in milliseconds. A run that only another program reports as
 * held blocks its pipeline no longer than this.
 */
const BELIEVED_MS = 2 * OUTCOMES_EVERY_MS;

/** The run that later ones wait for. It is undefined after a long silence: the saver makes later runs wait too. */
export function heldIn({ held, held_at }: Standing, now: number): string | undefined {
  return now - held_at < BELIEVED_MS ? held : undefined;
}

function nameOf(pipeline: string): string {
  return `standing/${pipeline}.json`;
}
