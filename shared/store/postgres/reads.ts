/**
 * The reads of the store from PostgreSQL, and the store as a reader opens it. Each read sees the data committed when it began, and waits for no writer.
 */
import type { Reads, ReadStore } from "../store.ts";
import { Postgres } from "./connection.ts";
import { PostgresCurrent } from "./current.ts";
import { problemsOfCurrent } from "./current_check.ts";
import { growthOf } from "./growth.ts";
import { checkServer, hasSchema, schemaVersion } from "./migrate.ts";
import { goingFiles } from "../sql/trim.ts";
import { SqlHolds } from "../sql/holds.ts";
import { SqlNotifications } from "../sql/notifications.ts";
import { PostgresRecords } from "./records.ts";
import { SqlRuns } from "../sql/runs.ts";
import type { Session } from "./session.ts";
import { ShownPipelines } from "../sql/shown.ts";

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

/** The maximum number of a reader's connections. */
const MOST_CONNECTIONS = 8;

/**
 * Opens the database for reading. Returns undefined until the saver has migrated it to this version's schema: ask again later.
 *
 * @throws PermanentError if it refuses access, can't keep the store's guarantees, or was made by a newer version.
 * @throws TransientError if it can't be reached.
 */
export async function openPostgresToRead(url: string, name = "reader"): Promise<ReadStore | undefined> {
  const db = new Postgres(url, {
    name,
    max: MOST_CONNECTIONS,
    settings: { default_transaction_read_only: "on" },
  });
  try {
    await checkServer(db);
    if (await hasSchema(db)) return readStoreOf(db);
  } catch (error) {
    await db[Symbol.asyncDispose]();
    throw error;
  }
  await db[Symbol.asyncDispose]();
  return undefined;
}

function readStoreOf(db: Postgres): ReadStore {
  return {
    ...readsOf(db),
    async problemsOfCurrent(pipeline) {
      const shape = (await new ShownPipelines(db).get()).get(pipeline)?.current;
      return shape ? await problemsOfCurrent(db, pipeline, shape) : [];
    },
    growth: () => growthOf(db),
    trimmable: (before) => goingFiles(db, before),
    ping: async () => void await schemaVersion(db, db.place),
    damage: () => Promise.resolve(undefined), // PostgreSQL checks each page that it reads, and reports damage as an error
    async version() {
      // changes with each transaction of the server; the start time covers a server restored to an earlier state
      const { version } = (await db.get<{ version: string }>(
        "SELECT pg_current_snapshot()::text || ' ' || extract(epoch FROM pg_postmaster_start_time())::text AS version",
      ))!;
      return version;
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}
