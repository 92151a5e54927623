/**
 * Reading what receivers outside were told, and up to which planned time lateness was judged.
 *
 * @module
 */
import type { NotificationRow, WatchedSchedule } from "../rows.ts";
import type { Notifications } from "../store.ts";
import type { Session } from "./session.ts";
import { Terms } from "./terms.ts";

export class PostgresNotifications implements Notifications {
  /** Reads from `db`. */
  constructor(private readonly db: Session) {}

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
