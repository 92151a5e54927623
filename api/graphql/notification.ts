import * as z from "zod";
import { NOTIFICATION_TYPES } from "../../shared/contracts/notifications.ts";
import { builder } from "./builder.ts";
import { connectionType, forwardArgs, pageOf } from "./connection.ts";
import { NOTIFICATION_STATES, type NotificationRow } from "../../shared/store/rows.ts";

const NotificationState = builder.enumType("NotificationState", {
  values: NOTIFICATION_STATES,
  description:
    "`WAITING`: for its first or another try; `SENT`: the receiver has accepted it; `FAILED`: it isn't retried.",
});

const Notification = builder.objectRef<NotificationRow>("Notification").implement({
  description: "A notification to one receiver.",
  fields: (t) => ({
    id: t.exposeID("id"),
    webhookId: t.exposeID("webhook_id", {
      description: "Its `webhook-id`: the same for all receivers and tries.",
    }),
    type: t.exposeString("type", { description: `One of ${NOTIFICATION_TYPES.join(", ")}.` }),
    host: t.exposeString("host", {
      description: "The receiver's host; the rest of its address is a secret.",
    }),
    pipeline: t.exposeString("pipeline", { nullable: true }),
    runId: t.exposeID("run_id", { nullable: true }),
    text: t.exposeString("text", { description: "The text for people." }),
    happenedAt: t.expose("happened_at", { type: "DateTime" }),
    state: t.expose("state", { type: NotificationState }),
    attempts: t.exposeInt("attempts", { description: "Tries so far." }),
    triedAt: t.expose("tried_at", { type: "DateTime", nullable: true }),
    result: t.exposeString("result", {
      nullable: true,
      description: "The outcome of the last try, such as `HTTP 204`.",
    }),
  }),
});

const NotificationConnection = connectionType("Notification", Notification);

builder.queryField("notifications", (t) =>
  t.field({
    type: NotificationConnection,
    description: "Notifications to receivers, newest first; the newest 1000 are kept.",
    args: {
      webhookId: t.arg.id({ required: false, description: "Only those with this `webhook-id`." }),
      ...forwardArgs,
    },
    resolve: (_root, { webhookId, first, after }, { store }) =>
      pageOf<NotificationRow, number>({ first, after }, {
        read: async ({ limit, after }) =>
          await store?.notifications.list({ limit, before: after, webhookId: webhookId ?? undefined }) ?? [],
        place: ({ id }) => id,
        cursor: z.int(),
      }),
  }));
