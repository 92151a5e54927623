/**
 * Noting what receivers outside were told.
 *
 * @module
 */
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import { MOST_NOTIFICATIONS, type NotificationState, type WatchedSchedule } from "../rows.ts";
import type { Session } from "./session.ts";

/** Notes an order for each receiver; one that is known stays as it is. The oldest beyond the number that is kept go. */
export async function noteOrder(
  session: Session,
  { webhook_id, pipeline, run_id, notification: { type, text, timestamp } }: Notify,
  receivers: readonly ReceiverName[],
): Promise<void> {
  for (const { host, key } of receivers) {
    // Not ON CONFLICT alone: an insert that finds one uses up a number
    await session.run(
      `INSERT INTO notifications (webhook_id, receiver, host, type, pipeline, run_id, text, happened_at, state)
       SELECT $1, $2, $3, $4, $5, $6, $7, $8, 'WAITING'
       WHERE NOT EXISTS (SELECT 1 FROM notifications WHERE webhook_id = $1 AND receiver = $2)
       ON CONFLICT (webhook_id, receiver) DO NOTHING`,
      webhook_id,
      key,
      host,
      type,
      pipeline,
      run_id,
      text,
      timestamp,
    );
  }
  await session.run(
    `DELETE FROM notifications WHERE id <= (SELECT max(id) FROM notifications) - ${MOST_NOTIFICATIONS}`,
  );
}

/** Notes the result of a try at the notification of `webhookId` to the receiver with `key`. */
export async function noteTry(
  session: Session,
  { webhookId, key }: { webhookId: string; key: string },
  { state, result, at }: { state: NotificationState; result: string; at: string },
): Promise<void> {
  await session.run(
    `UPDATE notifications SET state = $3, result = $4, tried_at = $5, attempts = attempts + 1
     WHERE webhook_id = $1 AND receiver = $2`,
    webhookId,
    key,
    state,
    result,
    at,
  );
}

/** Keeps how lateness of a pipeline's runs is judged. */
export async function keepWatched(
  session: Session,
  pipeline: string,
  { schedule, judged_until, late_at }: WatchedSchedule,
): Promise<void> {
  await session.run(
    `INSERT INTO watched_schedules (pipeline, schedule, judged_until, late_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (pipeline) DO UPDATE SET schedule = excluded.schedule, judged_until = excluded.judged_until,
       late_at = excluded.late_at`,
    pipeline,
    schedule,
    judged_until,
    late_at,
  );
}
