/**
 * `replayDeadLetter` and `discardDeadLetter`.
 *
 * @module
 */
import type { Mailbox } from "../../../shared/channel/channel.ts";
import { builder } from "../builder.ts";
import type { Context } from "../context.ts";
import { letterOf } from "../dead_letter.ts";
import { audited, DeadLetterNotFound, ServiceUnavailable, typenameOf } from "./result.ts";

function successType<Name extends string>(name: Name, description: string) {
  return builder.objectRef<{ __typename: Name; id: string; channel: string }>(name).implement({
    description,
    fields: (t) => ({ id: t.exposeID("id"), channel: t.exposeString("channel") }),
  });
}

const ReplayDeadLetterResult = builder.unionType("ReplayDeadLetterResult", {
  description: "What came of `replayDeadLetter`.",
  types: [
    successType("ReplayDeadLetterSuccess", "The message is in its channel again."),
    DeadLetterNotFound,
    ServiceUnavailable,
  ],
  resolveType: typenameOf,
});

const DiscardDeadLetterResult = builder.unionType("DiscardDeadLetterResult", {
  description: "What came of `discardDeadLetter`.",
  types: [
    successType("DiscardDeadLetterSuccess", "The message is gone for good."),
    DeadLetterNotFound,
    ServiceUnavailable,
  ],
  resolveType: typenameOf,
});

builder.mutationFields((t) => ({
  replayDeadLetter: t.field({
    type: ReplayDeadLetterResult,
    description: "Sends a message that was given up once more.",
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) =>
      steer(
        context,
        "replayDeadLetter",
        id,
        "ReplayDeadLetterSuccess",
        (mailbox, letter) => mailbox.replay(letter),
      ),
  }),
  discardDeadLetter: t.field({
    type: DiscardDeadLetterResult,
    description: "Removes a message that was given up, for good.",
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) =>
      steer(
        context,
        "discardDeadLetter",
        id,
        "DiscardDeadLetterSuccess",
        (mailbox, letter) => mailbox.discard(letter),
      ),
  }),
}));

function steer<Name extends string>(
  context: Context,
  action: string,
  id: string,
  success: Name,
  act: (mailbox: Mailbox, letter: string) => Promise<boolean>,
) {
  return audited(context, action, { deadLetter: id.slice(0, 600) }, async () => {
    const letter = letterOf(id);
    if (letter === undefined || !await act(context.ports.channel.mailbox(letter.mailbox), letter.id)) {
      return {
        __typename: "DeadLetterNotFound" as const,
        message: `Dead letter ${
          JSON.stringify(id.slice(0, 200))
        } not found. Query deadLetters for those that are there.`,
      };
    }
    return { __typename: success, id, channel: letter.mailbox };
  });
}
