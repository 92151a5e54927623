/** The tracker: follows extracted runs to their outcome. */
import type { Actor } from "../shared/actor/actor.ts";
import type { RunOutcome } from "../shared/contracts/messages.ts";
import type { Files } from "../shared/files/files.ts";
import { removeReceipt } from "../shared/files/receipts.ts";
import { after, changeStanding } from "./standing.ts";
import type { State } from "../shared/files/state.ts";

/**
 * The tracker: mailbox `channel:run_outcome`. A held run makes the pipeline's later runs wait. A loaded run moves the
 * cursor of `since`. The files of a rejected run are removed. Outdated or repeated messages change nothing.
 */
export function tracker({ state, files }: { state: State; files: Files }): Actor<"channel:run_outcome"> {
  return {
    name: "tracker",
    mailbox: "channel:run_outcome",
    async handle(outcome, { log, signal }) {
      await changeStanding(
        state,
        outcome.pipeline,
        (standing) => after(standing, outcome, Date.now()),
        signal,
      );
      if (outcome.outcome === "rejected") {
        const removed = await removeFiles(outcome, files, signal);
        if (removed > 0) log.info("removed the files of a rejected run", { run_id: outcome.run_id, removed });
      }
      return { outputs: [], detail: {} };
    },
  };
}

/**
 * Removes the files that still belong to the run. The receipt goes first, as the files would be announced again because
 * of it.
 */
async function removeFiles(
  { rejected = [] }: RunOutcome,
  files: Files,
  signal: AbortSignal,
): Promise<number> {
  let removed = 0;
  for (const { name, sha256 } of rejected) {
    if (!await files.exists(name) || (await files.facts(name, signal)).sha256 !== sha256) continue;
    await removeReceipt(files, name);
    await files.remove(name);
    removed += 1;
  }
  return removed;
}
