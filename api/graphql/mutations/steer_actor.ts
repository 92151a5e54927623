/**
 * `pauseActor` and `resumeActor`.
 *
 * @module
 */
import { CHANNELS } from "../../../shared/contracts/channels.ts";
import type { Mailbox } from "../../../shared/channel/channel.ts";
import { type ActorView, mailboxOf, viewActors } from "../../actors.ts";
import { Actor } from "../actor.ts";
import { builder } from "../builder.ts";
import type { Context } from "../context.ts";
import { ActorNotFound, audited, ServiceUnavailable, typenameOf } from "./result.ts";

function successType<Name extends string>(name: Name, description: string) {
  return builder.objectRef<{ __typename: Name; actor: ActorView }>(name).implement({
    description,
    fields: (t) => ({ actor: t.field({ type: Actor, resolve: ({ actor }) => actor }) }),
  });
}

const PauseActorResult = builder.unionType("PauseActorResult", {
  description: "What came of `pauseActor`.",
  types: [
    successType("PauseActorSuccess", "The actor takes no further message; what it works on it finishes."),
    ActorNotFound,
    ServiceUnavailable,
  ],
  resolveType: typenameOf,
});

const ResumeActorResult = builder.unionType("ResumeActorResult", {
  description: "What came of `resumeActor`.",
  types: [
    successType("ResumeActorSuccess", "The actor takes messages again."),
    ActorNotFound,
    ServiceUnavailable,
  ],
  resolveType: typenameOf,
});

builder.mutationFields((t) => ({
  pauseActor: t.field({
    type: PauseActorResult,
    description: "Holds an actor's messages back, also over restarts, until `resumeActor`.",
    args: { name: t.arg.string({ required: true }) },
    resolve: (_root, { name }, context) =>
      steer(context, "pauseActor", name, "PauseActorSuccess", (mailbox) => mailbox.pause()),
  }),
  resumeActor: t.field({
    type: ResumeActorResult,
    description: "Lets an actor take messages again.",
    args: { name: t.arg.string({ required: true }) },
    resolve: (_root, { name }, context) =>
      steer(context, "resumeActor", name, "ResumeActorSuccess", (mailbox) => mailbox.resume()),
  }),
}));

function steer<Name extends string>(
  context: Context,
  action: string,
  name: string,
  success: Name,
  act: (mailbox: Mailbox) => Promise<void>,
) {
  const { channel } = context.ports;
  return audited(context, action, { actor: name }, async () => {
    const mailbox = mailboxOf(name);
    if (mailbox === undefined) {
      const names = Object.values(CHANNELS).map(({ receiver }) => receiver).join(", ");
      return {
        __typename: "ActorNotFound" as const,
        message: `Actor ${JSON.stringify(name)} not found, wanted one of ${names}.`,
      };
    }
    await act(channel.mailbox(mailbox));
    return { __typename: success, actor: (await viewActors(channel, name))[0]! };
  });
}
