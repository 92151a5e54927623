import { compose } from "../../../shared/actor/message.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { orderOf } from "../../../shared/contracts/notification_order.ts";
import { builder } from "../builder.ts";
import { audited, resultType } from "./result.ts";

const Success = builder.objectRef<{ __typename: "SendTestNotificationSuccess"; webhookId: string }>(
  "SendTestNotificationSuccess",
).implement({
  description: "The notification is ordered; `notifications(webhookId:)` shows its outcome.",
  fields: (t) => ({ webhookId: t.exposeID("webhookId") }),
});

builder.mutationField("sendTestNotification", (t) =>
  t.field({
    type: resultType("sendTestNotification", Success),
    description: "Sends a notification of type `test` to every receiver that is configured.",
    resolve: (_root, _args, context) =>
      audited(context, "sendTestNotification", {}, async (about) => {
        const key = newRunId();
        const at = new Date((context.ports.clock ?? Date.now)()).toISOString();
        const order = orderOf({
          type: "test",
          key,
          at,
          says: "This is a test: notifications of the pipeline arrive here.",
          whatToDo: "Nothing to do.",
        }, undefined);
        await context.ports.channel.publish(compose("channel:notify", `test/${key}`, order));
        about.webhookId = order.webhook_id;
        return { __typename: "SendTestNotificationSuccess" as const, webhookId: order.webhook_id };
      }),
  }));
