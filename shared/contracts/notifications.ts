/**
 * Notifications to outside receivers, and the message that orders one. docs/operations.md shows what they receive.
 *
 * @module
 */
import { z } from "zod";
import { Detail, Envelope, RunId, Timestamp } from "./messages.ts";

/** All types of notification, including `test`, which a person requests. */
export const NOTIFICATION_TYPES = [
  "run.failed",
  "run.held",
  "run.late",
  "run.recovered",
  "delivery.pending",
  "dead_letter.new",
  "source.drift",
  "test",
] as const;
/** The type of a notification. */
export type NotificationType = (typeof NOTIFICATION_TYPES)[number];

/** The body of a notification. Never contains a record's content. */
export const Notification = z.object({
  type: z.enum(NOTIFICATION_TYPES),
  /** When it happened. */
  timestamp: Timestamp,
  /**
   * The same in parts: `pipeline`, `run_id` and further data, `what_to_do`, and `link` if the dashboard's address is
   * configured.
   */
  data: Detail,
  /** The whole notification as text for people; chat programs such as Slack show this. */
  text: z.string().max(8_000),
});
/** The body of a notification. */
export type Notification = z.output<typeof Notification>;

/** The public part of a receiver: its address may hold a secret. */
export const ReceiverName = z.object({
  /** Its host, with the port unless that is the default one. */
  host: z.string().max(300),
  /** The first digits of its address's SHA-256, to distinguish it from others on the same host. */
  key: z.string().regex(/^[0-9a-f]{16}$/),
});
/** The public part of a receiver: its address may hold a secret. */
export type ReceiverName = z.output<typeof ReceiverName>;

/** `channel:notify`: a notification for one receiver, or, without `receiver`, for all configured ones. */
export const Notify = Envelope.extend({
  run_id: RunId.optional(),
  /** The same for all receivers and tries, so that a receiver can recognize a repeat. */
  webhook_id: z.string().regex(/^[\w-]{1,100}$/),
  notification: Notification,
  receiver: ReceiverName.optional(),
});
/** An order to notify. */
export type Notify = z.output<typeof Notify>;
