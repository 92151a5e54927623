/** The held run that a requested one waits for. */
import { loadConfig } from "../shared/config/config.ts";
import { storePlaceOf } from "../shared/config/variables.ts";
import type { RunEvent } from "../shared/contracts/messages.ts";
import { openStoreToRead } from "../shared/store/open.ts";
import { type Environment, VARIABLES } from "./services.ts";

/** How often a run that waits is checked for a held one in front of it, in milliseconds. */
const LOOK_EVERY_MS = 2_000;

/** After these a run waits for its next phase. */
const BEFORE_A_PHASE: readonly RunEvent["type"][] = ["run_requested", "run_superseded", "phase_completed"];

/** The pipeline's held run, if there is one. */
export async function heldRunOf(env: Environment, pipeline: string): Promise<string | undefined> {
  try {
    await using store = await openStoreToRead(storePlaceOf(loadConfig("held run", VARIABLES.saver, env)));
    const front = await store?.holds.inFront(pipeline);
    return front?.decision === null ? front.run_id : undefined;
  } catch {
    return undefined; // the saver reports the problem of the database
  }
}

/** Passes the events of a run on. If it waits for a held run, says so once for each, and how to release that. */
export async function* sayingWhatHolds(
  events: AsyncIterable<RunEvent>,
  heldRun: () => Promise<string | undefined>,
  say: (line: string) => void,
): AsyncGenerator<RunEvent> {
  let last: RunEvent | undefined;
  let looking: Promise<void> | undefined;
  const reported = new Set<string>();
  const look = async () => {
    if (last === undefined || !BEFORE_A_PHASE.includes(last.type)) return;
    const held = await heldRun();
    if (held === undefined || held === last.run_id || reported.has(held)) return;
    reported.add(held);
    say(
      `waits: run ${held} of the same pipeline is held until somebody releases or rejects it, on the dashboard or, ` +
        `while an API runs (deno task api), with: deno task etl release ${held} (or reject)`,
    );
  };
  const timer = setInterval(() => looking ??= look().finally(() => looking = undefined), LOOK_EVERY_MS);
  try {
    for await (const event of events) {
      last = event;
      yield event;
    }
  } finally {
    clearInterval(timer);
    await looking;
  }
}
