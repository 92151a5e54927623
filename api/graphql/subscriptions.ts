/**
 * Following runs and actors.
 *
 * @module
 */
import { filter, pipe } from "graphql-yoga";
import { Actor } from "./actor.ts";
import { builder } from "./builder.ts";
import { RunEventType } from "./run.ts";

builder.subscriptionType({
  fields: (t) => ({
    runEvents: t.field({
      type: RunEventType,
      description: "What happens from now on: to one run, or to all.",
      args: { runId: t.arg.id({ required: false }) },
      subscribe: (_root, { runId }, { live }) =>
        runId == null
          ? live.runEvents.follow()
          : pipe(live.runEvents.follow(), filter((event) => event.run_id === runId)),
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
