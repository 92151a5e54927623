import { compose } from "../../../shared/actor/message.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { isFinal } from "../../../shared/contracts/messages.ts";
import { builder } from "../builder.ts";
import { EtlRun, runById } from "../run.ts";
import {
  audited,
  orderParent,
  problem,
  resultType,
  RunNotActive,
  RunNotFound,
  runNotFound,
  RunNotLoaded,
  seen,
} from "./result.ts";

const CancelRunSuccess = builder.objectRef<{ __typename: "CancelRunSuccess"; runId: string }>(
  "CancelRunSuccess",
).implement({
  description: "The run was cancelled; the actor that works on it stops.",
  fields: (t) => ({
    runId: t.exposeID("runId"),
    run: t.field({
      type: EtlRun,
      nullable: true,
      resolve: ({ runId }, _args, context) =>
        seen(context, ({ runs }) => runs.byRunId(runId), ({ status }) => isFinal(status)),
    }),
  }),
});

const CancelRunResult = resultType("cancelRun", CancelRunSuccess, RunNotFound, RunNotActive);

const RedeliverRunSuccess = builder.objectRef<{ __typename: "RedeliverRunSuccess"; runId: string }>(
  "RedeliverRunSuccess",
).implement({
  description: "The courier delivers the run's files again; files that are already on the server stay.",
  fields: (t) => ({
    runId: t.exposeID("runId"),
    run: t.field(runById(({ runId }) => runId)),
  }),
});

const RedeliverRunResult = resultType("redeliverRun", RedeliverRunSuccess, RunNotFound, RunNotLoaded);

builder.mutationFields((t) => ({
  cancelRun: t.field({
    type: CancelRunResult,
    description: "Stops a run; what it has loaded and delivered stays.",
    args: { runId: t.arg.id({ required: true }) },
    resolve: (_root, { runId }, context) =>
      audited(context, "cancelRun", { runId }, async () => {
        const run = await context.store?.runs.byRunId(runId);
        if (run === undefined) return runNotFound(runId);
        if (isFinal(run.status)) {
          return problem("RunNotActive", `Run ${runId} is ${run.status}. There is nothing to cancel.`);
        }
        await context.ports.channel.publish(
          compose("channel:run_events", "cancelled", {
            type: "run_cancelled",
            run_id: runId,
            requested_by: context.who,
            actor: "api",
            pipeline: run.pipeline,
          }, orderParent(`cancel/${runId}`, run)),
        );
        return { __typename: "CancelRunSuccess" as const, runId };
      }),
  }),
  redeliverRun: t.field({
    type: RedeliverRunResult,
    description: "Delivers the files of a loaded run again, as after a failed delivery.",
    args: { runId: t.arg.id({ required: true }) },
    resolve: (_root, { runId }, context) =>
      audited(context, "redeliverRun", { runId }, async () => {
        const run = await context.store?.runs.byRunId(runId);
        if (run === undefined) return runNotFound(runId);
        if (run.loaded_at === null) {
          return problem(
            "RunNotLoaded",
            `Run ${runId} is ${run.status}, its files aren't loaded. Wait until they are.`,
          );
        }
        await context.ports.channel.publish(
          compose("channel:deliver", "deliver", {
            run_id: runId,
            requested_by: context.who,
            pipeline: run.pipeline,
          }, orderParent(`redeliver/${newRunId()}`, run)),
        );
        return { __typename: "RedeliverRunSuccess" as const, runId };
      }),
  }),
}));
