import type { Actor, Done, OutputOn } from "../shared/actor/actor.ts";
import type { Fields } from "../shared/actor/message.ts";
import type { Decide } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { PHASE2 } from "../shared/files/receipts.ts";
import type { HoldRow } from "../shared/store/rows.ts";
import type { Store } from "../shared/store/store.ts";
import { planFor } from "./plan.ts";

/**
 * The gatekeeper: mailbox `channel:decision`. The first decision on a run counts, and is stored before its outputs are
 * published. The same order repeats its outputs, another order has none.
 *
 * A released run is announced again as it was held, and the saver loads it. The files of a rejected run are removed by
 * the extractor, which owns them; only its row in the database stays.
 */
export function gatekeeper({ store }: { store: Store }): Actor<"channel:decision"> {
  return {
    name: "gatekeeper",
    mailbox: "channel:decision",
    plan: ({ run_id }) => planFor(store, run_id, undefined),
    async handle(order, { log }): Promise<Done> {
      const { run_id, decision, requested_by } = order;
      const orderId = idOf(order);
      const hold = await store.decide(order, orderId);
      if (hold === undefined) {
        throw new PermanentError(
          `Cannot decide on run ${run_id}: it isn't held. Look at its status; discard this order.`,
        );
      }
      if (hold.order_id !== orderId) {
        log.info("the run was decided on before", {
          decision: hold.decision,
          by: hold.decided_by,
          order: decision,
        });
        return { outputs: [], detail: {} };
      }
      const { pipeline } = hold;
      const event: OutputOn<"channel:run_events"> = {
        to: "channel:run_events",
        name: decision,
        fields: { type: `run_${decision}`, run_id, pipeline, requested_by, actor: "gatekeeper" },
      };
      const outcome: OutputOn<"channel:run_outcome"> = {
        to: "channel:run_outcome",
        name: "outcome",
        fields: outcomeOf(hold),
      };
      const load: OutputOn<"channel:phase2_complete"> = {
        to: "channel:phase2_complete",
        name: PHASE2,
        fields: announced(hold),
      };
      return { outputs: [event, outcome, ...decision === "released" ? [load] : []], detail: {} };
    },
  };
}

function idOf({ id, run_id, decision }: Decide): string {
  return id ?? `${decision}/${run_id}`;
}

/** The message that announced the files of a held run. */
export function announced({ message }: HoldRow): Fields<"channel:phase2_complete"> {
  return JSON.parse(message);
}

/** What the extractor must know about a run that is or was held. */
export function outcomeOf(hold: HoldRow): Fields<"channel:run_outcome"> {
  const { run_id, pipeline, decision } = hold;
  if (decision !== "rejected") return { run_id, pipeline, outcome: decision ?? "held" };
  const { processed_file, processed_sha256, dlq_file, dlq_sha256, raw_file, raw_sha256 } = announced(hold);
  const rejected = [
    { name: processed_file, sha256: processed_sha256! },
    { name: dlq_file, sha256: dlq_sha256! },
    { name: raw_file, sha256: raw_sha256! },
  ];
  return { run_id, pipeline, outcome: decision, rejected };
}
