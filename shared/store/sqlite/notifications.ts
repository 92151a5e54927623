// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * What receivers outside were told: the newest notifications, and up to which planned time lateness was judged.
 *
 * @module
 */
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import type { Database } from "../../sqlite/database.ts";
import {
  MOST_NOTIFICATIONS,
  type NotificationRow,
  type NotificationState,
  type WatchedSchedule,
} from "../rows.ts";
import type { Notifications } from "../store.ts";

export class SqliteNotifications implements Notifications {
  /** Reads from `db`. */
  constructor(private readonly db: Database) {}

  async list(
    { limit, before, webhookId }: {
      limit: number;
      before?: number | undefined;
      webhookId?: string | undefined;
    },
  ): Promise<NotificationRow[]> {
    return this.db.all<NotificationRow>(
      `SELECT * FROM notifications WHERE id < ?1 AND (?2 IS NULL OR webhook_id = ?2) ORDER BY id DESC LIMIT ?3`,
      before ?? Number.MAX_SAFE_INTEGER,
      webhookId,
      limit,
    );
  }

  async has(webhookId: string): Promise<boolean> {
    return this.db.get("SELECT 1 FROM notifications WHERE webhook_id = ?", webhookId) !== undefined;
  }

  async watched(pipeline: string): Promise<WatchedSchedule | undefined> {
    return this.db.get<WatchedSchedule>(
      "SELECT schedule, judged_until, late_at FROM watched_schedules WHERE pipeline = ?",
      pipeline,
    );
  }
}

/** Notes an order for `receiver`; one that is known stays as it is. The oldest beyond the number that is kept go. */
export function noteOrder(db: Database, order: Notify, { host, key }: ReceiverName): void {
  const { webhook_id, pipeline, run_id, notification: { type, text, timestamp } } = order;
  db.run(
    `INSERT INTO notifications (webhook_id, receiver, host, type, pipeline, run_id, text, happened_at, state)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'WAITING') ON CONFLICT (webhook_id, receiver) DO NOTHING`,
    webhook_id,
    key,
    host,
    type,
    pipeline,
    run_id,
    text,
    timestamp,
  );
  db.run("DELETE FROM notifications WHERE id <= (SELECT max(id) FROM notifications) - ?", MOST_NOTIFICATIONS);
}

/** Notes what came of a try at the notification of `webhookId` to the receiver with `key`. */
export function noteTry(
  db: Database,
  { webhookId, key }: { webhookId: string; key: string },
  { state, result, at }: { state: NotificationState; result: string; at: string },
): void {
  db.run(
    `UPDATE notifications SET state = ?3, result = ?4, tried_at = ?5, attempts = attempts + 1
     WHERE webhook_id = ?1 AND receiver = ?2`,
    webhookId,
    key,
    state,
    result,
    at,
  );
}

export function keepWatched(db: Database, pipeline: string, watched: WatchedSchedule): void {
  db.run(
    `INSERT INTO watched_schedules (pipeline, schedule, judged_until, late_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (pipeline) DO UPDATE SET schedule = excluded.schedule, judged_until = excluded.judged_until,
       late_at = excluded.late_at`,
    pipeline,
    watched.schedule,
    watched.judged_until,
    watched.late_at,
  );
}
