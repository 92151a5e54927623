/**
 * All that is read from PostgreSQL. Each read sees what was committed when it began, and waits for no writer.
 *
 * @module
 */
import type { Reads } from "../store.ts";
import { PostgresCurrent } from "./current.ts";
import { PostgresHolds } from "./holds.ts";
import { PostgresNotifications } from "./notifications.ts";
import { PostgresRecords } from "./records.ts";
import { PostgresRuns } from "./runs.ts";
import type { Session } from "./session.ts";
import { ShownPipelines } from "./shown.ts";

/** Reads by `db`. */
export function readsOf(db: Session): Reads {
  const shown = new ShownPipelines(db);
  return {
    runs: new PostgresRuns(db),
    records: new PostgresRecords(db, shown),
    current: new PostgresCurrent(db, shown),
    notifications: new PostgresNotifications(db),
    holds: new PostgresHolds(db, shown),
  };
}
