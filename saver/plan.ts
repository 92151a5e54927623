import type { Planned } from "../shared/actor/actor.ts";
import type { Store } from "../shared/store/store.ts";

/** Work on a known run: its events come after those that are recorded. */
export async function planFor<P>({ runs }: Store, runId: string, plan: P): Promise<Planned<P>> {
  return { runId, plan, after: (await runs.byRunId(runId))?.status_at };
}
