import type { Mailbox } from "../../../shared/channel/channel.ts";
import { builder } from "../builder.ts";
import { letterOf } from "../dead_letter.ts";
import { audited, capital, DeadLetterNotFound, problem, resultType } from "./result.ts";

addSteering(
  "replayDeadLetter",
  "Sends a dead message again.",
  "The message is in its channel again.",
  (mailbox, letter) => mailbox.replay(letter),
);
addSteering(
  "discardDeadLetter",
  "Removes a dead message permanently.",
  "The message is removed permanently.",
  (mailbox, letter) => mailbox.discard(letter),
);

function addSteering(
  action: string,
  description: string,
  success: string,
  act: (mailbox: Mailbox, letter: string) => Promise<boolean>,
): void {
  const typename = `${capital(action)}Success`;
  const Success = builder.objectRef<{ __typename: string; id: string; channel: string }>(typename).implement({
    description: success,
    fields: (t) => ({ id: t.exposeID("id"), channel: t.exposeString("channel") }),
  });
  const Result = resultType(action, Success, DeadLetterNotFound);
  builder.mutationField(action, (t) =>
    t.field({
      type: Result,
      description,
      args: { id: t.arg.id({ required: true }) },
      resolve: (_root, { id }, context) =>
        audited(context, action, { deadLetter: id.slice(0, 600) }, async () => {
          const letter = letterOf(id);
          if (letter !== undefined && await act(context.ports.channel.mailbox(letter.mailbox), letter.id)) {
            return { __typename: typename, id, channel: letter.mailbox };
          }
          const shown = JSON.stringify(id.slice(0, 200));
          return problem(
            "DeadLetterNotFound",
            `Dead letter ${shown} not found. Query deadLetters for the existing ones.`,
          );
        }),
    }));
}
