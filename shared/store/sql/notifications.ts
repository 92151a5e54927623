/** The newest notifications, and the state of the lateness checks. */
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import {
  MOST_NOTIFICATIONS,
  type NotificationRow,
  type NotificationState,
  type WatchedSchedule,
} from "../rows.ts";
import type { Notifications } from "../store.ts";
import { type Sql, upsert } from "./sql.ts";
import { Terms } from "./terms.ts";

export class SqlNotifications implements Notifications {
  constructor(private readonly db: Sql) {}

  list(
    { limit, before, webhookId }: { limit: number; before?: number; webhookId?: string },
  ): Promise<NotificationRow[]> {
    const where = new Terms();
    if (before !== undefined) where.add`id < ${before}`;
    if (webhookId !== undefined) where.add`webhook_id = ${webhookId}`;
    return this.db.all<NotificationRow>(
      `SELECT * FROM notifications ${where} ORDER BY id DESC LIMIT ${where.bind(limit)}`,
      ...where.values,
    );
  }

  async has(webhookId: string): Promise<boolean> {
    return await this.db.get("SELECT 1 FROM notifications WHERE webhook_id = $1", webhookId) !== undefined;
  }

  watched(pipeline: string): Promise<WatchedSchedule | undefined> {
    return this.db.get<WatchedSchedule>(
      "SELECT schedule, judged_until, late_at FROM watched_schedules WHERE pipeline = $1",
      pipeline,
    );
  }
}

/** Stores an order for each receiver; an existing one stays unchanged. The oldest beyond the kept number are removed. */
export async function noteOrder(
  sql: Sql,
  { webhook_id, pipeline, run_id, notification: { type, text, timestamp } }: Notify,
  receivers: readonly ReceiverName[],
): Promise<void> {
  for (const { host, key } of receivers) {
    // Not ON CONFLICT alone: an insert with a conflict uses up an id
    await sql.run(
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
  await sql.run(
    `DELETE FROM notifications WHERE id <= (SELECT max(id) FROM notifications) - ${MOST_NOTIFICATIONS}`,
  );
}

/** Stores the result of an attempt to send notification `webhookId` to the receiver with `key`. */
export async function noteTry(
  sql: Sql,
  { webhookId, key }: { webhookId: string; key: string },
  { state, result, at }: { state: NotificationState; result: string; at: string },
): Promise<void> {
  await sql.run(
    `UPDATE notifications SET state = $3, result = $4, tried_at = $5, attempts = attempts + 1
     WHERE webhook_id = $1 AND receiver = $2`,
    webhookId,
    key,
    state,
    result,
    at,
  );
}

/** Stores the state of the lateness check of a pipeline. */
export async function keepWatched(
  sql: Sql,
  pipeline: string,
  { schedule, judged_until, late_at }: WatchedSchedule,
): Promise<void> {
  await upsert(sql, "watched_schedules", ["pipeline"], { pipeline, schedule, judged_until, late_at });
}
