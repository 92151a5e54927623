import type { Planned } from "../shared/actor/actor.ts";
import type { Store } from "../shared/store/store.ts";

/** Plans work on a known run: its new events get later times than the recorded ones. */
export async function planFor<P>({ runs }: Store, runId: string, plan: P): Promise<Planned<P>> {
  return { runId, plan, after: (await runs.byRunId(runId))?.status_at };
}
