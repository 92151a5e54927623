import { CHANNELS } from "../../../shared/contracts/channels.ts";
import type { Mailbox } from "../../../shared/channel/channel.ts";
import { type ActorView, mailboxOf, viewActors } from "../../actors.ts";
import { Actor } from "../actor.ts";
import { builder } from "../builder.ts";
import { ActorNotFound, audited, capital, problem, resultType } from "./result.ts";

addSteering(
  "pauseActor",
  "Makes an actor take no messages, even after a restart, until `resumeActor`.",
  "The actor takes no further message; it completes the one that it works on.",
  (mailbox) => mailbox.pause(),
);
addSteering(
  "resumeActor",
  "Lets an actor take messages again.",
  "The actor takes messages again.",
  (mailbox) => mailbox.resume(),
);

function addSteering(
  action: string,
  description: string,
  success: string,
  act: (mailbox: Mailbox) => Promise<void>,
): void {
  const typename = `${capital(action)}Success`;
  const Success = builder.objectRef<{ __typename: string; actor: ActorView }>(typename).implement({
    description: success,
    fields: (t) => ({ actor: t.expose("actor", { type: Actor }) }),
  });
  const Result = resultType(action, Success, ActorNotFound);
  builder.mutationField(action, (t) =>
    t.field({
      type: Result,
      description,
      args: { name: t.arg.string({ required: true }) },
      resolve: (_root, { name }, context) =>
        audited(context, action, { actor: name }, async () => {
          const mailbox = mailboxOf(name);
          if (mailbox === undefined) {
            const names = Object.values(CHANNELS).map(({ receiver }) => receiver).join(", ");
            return problem(
              "ActorNotFound",
              `Actor ${JSON.stringify(name)} not found, wanted one of ${names}.`,
            );
          }
          const { channel } = context.ports;
          await act(channel.mailbox(mailbox));
          return { __typename: typename, actor: (await viewActors(channel, name))[0]! };
        }),
    }));
}
