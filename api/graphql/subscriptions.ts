import { filter, pipe } from "graphql-yoga";
import { DEFAULT_PIPELINE } from "../../shared/contracts/names.ts";
import { Actor } from "./actor.ts";
import { builder } from "./builder.ts";
import { RunEventType } from "./run.ts";

builder.subscriptionType({
  fields: (t) => ({
    runEvents: t.field({
      type: RunEventType,
      description: "Events from now on: of one run, of one pipeline, or of all runs.",
      args: { runId: t.arg.id({ required: false }), pipeline: t.arg.string({ required: false }) },
      subscribe: (_root, { runId, pipeline }, { live }) =>
        pipe(
          live.runEvents.follow(),
          filter((event) =>
            (runId == null || event.run_id === runId) &&
            (pipeline == null || (event.pipeline ?? DEFAULT_PIPELINE) === pipeline)
          ),
        ),
      resolve: (event) => event,
    }),
    actorChanges: t.field({
      type: Actor,
      description: "Actors whose state, mailbox or instances changed.",
      subscribe: (_root, _args, { live }) => live.actorChanges.follow(),
      resolve: (actor) => actor,
    }),
  }),
});
