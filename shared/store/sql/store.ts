/** The writes of the saver that are the same in both engines. */
import type { Reads, Stoppable, Store } from "../store.ts";
import { keepDecision, keepHeld } from "./holds.ts";
import { keepWatched, noteOrder, noteTry } from "./notifications.ts";
import { markRemoved, record, recordDelivery } from "./run_writes.ts";
import type { Sql } from "./sql.ts";

/** See `Store`. */
export abstract class SqlStore implements Reads {
  readonly runs: Reads["runs"];
  readonly records: Reads["records"];
  readonly current: Reads["current"];
  readonly notifications: Reads["notifications"];
  readonly holds: Reads["holds"];

  constructor({ runs, records, current, notifications, holds }: Reads) {
    this.runs = runs;
    this.records = records;
    this.current = current;
    this.notifications = notifications;
    this.holds = holds;
  }

  /** Runs `work` in a write transaction, which is committed durably, or rolled back if `work` throws. */
  protected abstract transaction<T>(work: (sql: Sql) => Promise<T>, options?: Stoppable): Promise<T>;

  readonly record: Store["record"] = (events) => this.transaction((sql) => record(sql, events));

  readonly recordDelivery: Store["recordDelivery"] = (runId, files) =>
    this.transaction((sql) => recordDelivery(sql, runId, files));

  readonly hold: Store["hold"] = (held, refuse) =>
    this.transaction(async (sql) => {
      await sql.lock("run", held.run_id);
      await refuse();
      await keepHeld(sql, held);
    });

  readonly decide: Store["decide"] = (order, orderId) =>
    this.transaction((sql) => keepDecision(sql, order, orderId));

  readonly removeFile: Store["removeFile"] = (file, at, remove, options = {}) =>
    this.transaction(async (sql) => {
      await sql.lock("events");
      options.signal?.throwIfAborted();
      const stays = await remove();
      if (stays === undefined) await markRemoved(sql, file, at);
      return stays;
    }, options);

  readonly noteOrder: Store["noteOrder"] = (order, receivers) =>
    this.transaction((sql) => noteOrder(sql, order, receivers));

  readonly noteTry: Store["noteTry"] = (of, tried) => this.transaction((sql) => noteTry(sql, of, tried));

  readonly keepWatched: Store["keepWatched"] = (pipeline, watched) =>
    this.transaction((sql) => keepWatched(sql, pipeline, watched));
}
