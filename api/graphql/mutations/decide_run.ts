import { compose } from "../../../shared/actor/message.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import type { Decision } from "../../../shared/contracts/messages.ts";
import { builder } from "../builder.ts";
import { runById } from "../run.ts";
import {
  audited,
  capital,
  orderParent,
  type Problem,
  problem,
  resultType,
  RunNotFound,
  runNotFound,
  RunNotHeld,
  seen,
} from "./result.ts";
import type { HoldRow } from "../../../shared/store/rows.ts";

addDecision(
  "releaseRun",
  "released",
  "Lets a held run continue: its files are loaded and delivered.",
  "The decision was sent; the run continues.",
);
addDecision(
  "rejectRun",
  "rejected",
  "Ends a run that is held: nothing of it is loaded or delivered, and its files are removed.",
  "The decision was sent; the run ends.",
);

function addDecision(action: string, decision: Decision, description: string, success: string): void {
  const typename = `${capital(action)}Success`;
  const Success = builder.objectRef<{ __typename: string; runId: string }>(typename).implement({
    description: success,
    fields: (t) => ({
      runId: t.exposeID("runId"),
      run: t.field(runById(({ runId }) => runId)),
    }),
  });
  const Result = resultType(action, Success, RunNotFound, RunNotHeld);
  builder.mutationField(action, (t) =>
    t.field({
      type: Result,
      description,
      args: { runId: t.arg.id({ required: true }) },
      resolve: (_root, { runId }, context) =>
        audited(context, action, { runId }, async () => {
          const run = await context.store?.runs.byRunId(runId);
          if (run === undefined) return runNotFound(runId);
          const held = await context.store?.holds.of(runId);
          if (held === undefined) return notHeld(runId, `is ${run.status}`);
          if (held.decision !== null) return held.decision === decision ? done(runId) : decided(held);
          const order = compose("channel:decision", decision, {
            run_id: runId,
            pipeline: run.pipeline,
            decision,
            requested_by: context.who,
          }, orderParent(`decision/${runId}/${newRunId()}`, run));
          // if two people decide at the same time, the second one gets the first decision
          const { channel } = context.ports;
          const isFirst = await channel.publishIfIdle("channel:decision", `"id":"decision/${runId}/`, order);
          const hold = await seen(
            context,
            ({ holds }) => holds.of(runId),
            ({ decision }) => decision !== null,
          );
          if (hold?.decision != null) return hold.decision === decision ? done(runId) : decided(hold);
          return isFirst ? done(runId) : notHeld(runId, "is being decided on already");
        }),
    }));

  function done(runId: string) {
    return { __typename: typename, runId };
  }
}

function decided({ run_id, decision, decided_by }: HoldRow): Problem<"RunNotHeld"> {
  return notHeld(run_id, `was ${decision} by ${decided_by}`);
}

function notHeld(runId: string, why: string): Problem<"RunNotHeld"> {
  return problem("RunNotHeld", `Run ${runId} ${why}. There is nothing to decide.`);
}
