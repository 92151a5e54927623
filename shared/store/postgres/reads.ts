/**
 * The reads of the store from PostgreSQL. Each read sees the data committed when it began, and waits for no writer.
 *
 * @module
 */
import type { Reads } from "../store.ts";
import { PostgresCurrent } from "./current.ts";
import { SqlHolds } from "../sql/holds.ts";
import { SqlNotifications } from "../sql/notifications.ts";
import { PostgresRecords } from "./records.ts";
import { SqlRuns } from "../sql/runs.ts";
import type { Session } from "./session.ts";
import { ShownPipelines } from "../sql/shown.ts";

/** Reads by `db`. */
export function readsOf(db: Session): Reads {
  const shown = new ShownPipelines(db);
  return {
    runs: new SqlRuns(db),
    records: new PostgresRecords(db, shown),
    current: new PostgresCurrent(db, shown),
    notifications: new SqlNotifications(db),
    holds: new SqlHolds(db, shown),
  };
}
