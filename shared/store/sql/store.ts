/**
 * The writes of the saver that are the same in both engines.
 *
 * @module
 */
import type { Decide, RunEvent } from "../../contracts/messages.ts";
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import type { Held, HoldRow, NotificationState, WatchedSchedule } from "../rows.ts";
import type { Current, Holds, Notifications, Reads, Records, Runs, Stoppable } from "../store.ts";
import type { Delivered } from "../writes.ts";
import { keepDecision, keepHeld } from "./holds.ts";
import { keepWatched, noteOrder, noteTry } from "./notifications.ts";
import { markRemoved, record, recordDelivery } from "./run_writes.ts";
import type { Sql } from "./sql.ts";

/** See `Store`. */
export abstract class SqlStore implements Reads {
  readonly runs: Runs;
  readonly records: Records;
  readonly current: Current;
  readonly notifications: Notifications;
  readonly holds: Holds;

  /** Reads by `reads`. */
  constructor({ runs, records, current, notifications, holds }: Reads) {
    this.runs = runs;
    this.records = records;
    this.current = current;
    this.notifications = notifications;
    this.holds = holds;
  }

  /** Runs `work` in a write transaction, which is committed durably, or rolled back if `work` throws. */
  protected abstract transaction<T>(work: (sql: Sql) => Promise<T>, options?: Stoppable): Promise<T>;

  record(events: readonly RunEvent[]): Promise<void> {
    return this.transaction((sql) => record(sql, events));
  }

  recordDelivery(runId: string, files: readonly Delivered[]): Promise<void> {
    return this.transaction((sql) => recordDelivery(sql, runId, files));
  }

  hold(held: Held, refuse: () => Promise<void>): Promise<void> {
    return this.transaction(async (sql) => {
      await sql.lock("run", held.run_id);
      await refuse();
      await keepHeld(sql, held);
    });
  }

  decide(
    order: Pick<Decide, "run_id" | "decision" | "requested_by">,
    orderId: string,
  ): Promise<HoldRow | undefined> {
    return this.transaction((sql) => keepDecision(sql, order, orderId));
  }

  removeFile(
    file: number,
    at: string,
    remove: () => Promise<string | undefined>,
    options: Stoppable = {},
  ): Promise<string | undefined> {
    return this.transaction(async (sql) => {
      await sql.lock("events");
      options.signal?.throwIfAborted();
      const stays = await remove();
      if (stays === undefined) await markRemoved(sql, file, at);
      return stays;
    }, options);
  }

  noteOrder(order: Notify, receivers: readonly ReceiverName[]): Promise<void> {
    return this.transaction((sql) => noteOrder(sql, order, receivers));
  }

  noteTry(
    of: { webhookId: string; key: string },
    tried: { state: NotificationState; result: string; at: string },
  ): Promise<void> {
    return this.transaction((sql) => noteTry(sql, of, tried));
  }

  keepWatched(pipeline: string, watched: WatchedSchedule): Promise<void> {
    return this.transaction((sql) => keepWatched(sql, pipeline, watched));
  }
}
