/**
 * The saver's side of a store in PostgreSQL. Any number of savers may have one each, on any machine.
 *
 * @module
 */
import type { Decide, RunEvent } from "../../contracts/messages.ts";
import type { Notify, ReceiverName } from "../../contracts/notifications.ts";
import type { Held, HoldRow, NotificationState, Trimmed, WatchedSchedule } from "../rows.ts";
import type { Current, Holds, Notifications, Records, Runs, Stoppable, Store } from "../store.ts";
import type {
  Delivered,
  FileToLoad,
  LineSource,
  LoadedFile,
  LoadedRun,
  LoadOptions,
  RunToLoad,
} from "../writes.ts";
import type { Defined } from "../shown.ts";
import { Postgres } from "./connection.ts";
import type { Session } from "./session.ts";
import { moveCurrent, unmoved } from "./current_move.ts";
import { keepDecision, keepHeld } from "./hold_writes.ts";
import { loadFile } from "./load.ts";
import { lockFor } from "./locks.ts";
import { checkServer, migrate, refuseNewer, SCHEMA_LOCK } from "./migrate.ts";
import { keepWatched, noteOrder, noteTry } from "./notification_writes.ts";
import { trimRuns } from "./trim.ts";
import { refreshViews } from "./views.ts";
import { readsOf } from "./reads.ts";
import { announceRun, markLoaded, markRemoved, record, recordDelivery } from "./run_writes.ts";

/** The saver's side. */
export class PostgresStore implements Store {
  readonly runs: Runs;
  readonly records: Records;
  readonly current: Current;
  readonly notifications: Notifications;
  readonly holds: Holds;

  /** Made by `openPostgres`. */
  constructor(private readonly db: Postgres) {
    ({
      runs: this.runs,
      records: this.records,
      current: this.current,
      notifications: this.notifications,
      holds: this.holds,
    } = readsOf(db));
  }

  async announceRun(run: RunToLoad): Promise<void> {
    if (await this.runs.byRunId(run.runId) !== undefined) return;
    await this.#load((session) => announceRun(session, run));
  }

  loadFile(file: FileToLoad, lines: LineSource, options: LoadOptions = {}): Promise<LoadedFile> {
    return this.#load((session) => loadFile(session, file, lines, options));
  }

  markLoaded(run: LoadedRun, { signal }: Stoppable = {}): Promise<void> {
    return this.#load((session) => markLoaded(session, run, signal));
  }

  /** A saver that runs while a newer one changes the schema leaves what is to be loaded to that one. */
  #load<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.db.transaction(async (session) => {
      await refuseNewer(session, this.db.place);
      return await work(session);
    });
  }

  async fillCurrent({ signal }: Stoppable = {}): Promise<number> {
    const runs = await unmoved(this.db);
    for (const run of runs) {
      await this.db.transaction(async (session) => {
        await lockFor(session, "pipeline", run.pipeline);
        await moveCurrent(session, run, signal);
      });
    }
    return runs.length;
  }

  trim(before: string, { signal }: Stoppable = {}): Promise<Trimmed> {
    return trimRuns(this.db, before, signal);
  }

  record(events: readonly RunEvent[]): Promise<void> {
    return this.db.transaction((session) => record(session, events));
  }

  recordDelivery(runId: string, files: readonly Delivered[]): Promise<void> {
    return this.db.transaction((session) => recordDelivery(session, runId, files));
  }

  hold(held: Held, refuse: () => Promise<void>): Promise<void> {
    return this.db.transaction(async (session) => {
      await lockFor(session, "run", held.run_id);
      await refuse();
      await keepHeld(session, held);
    });
  }

  decide(
    order: Pick<Decide, "run_id" | "decision" | "requested_by">,
    orderId: string,
  ): Promise<HoldRow | undefined> {
    return this.db.transaction((session) => keepDecision(session, order, orderId));
  }

  removeFile(
    file: number,
    at: string,
    remove: () => Promise<string | undefined>,
    { signal }: Stoppable = {},
  ): Promise<string | undefined> {
    return this.db.transaction(async (session) => {
      await lockFor(session, "told");
      signal?.throwIfAborted();
      const stays = await remove();
      if (stays === undefined) await markRemoved(session, file, at);
      return stays;
    });
  }

  noteOrder(order: Notify, receivers: readonly ReceiverName[]): Promise<void> {
    return this.db.transaction((session) => noteOrder(session, order, receivers));
  }

  noteTry(
    of: { webhookId: string; key: string },
    tried: { state: NotificationState; result: string; at: string },
  ): Promise<void> {
    return noteTry(this.db, of, tried);
  }

  keepWatched(pipeline: string, watched: WatchedSchedule): Promise<void> {
    return keepWatched(this.db, pipeline, watched);
  }

  /** Nobody but the server knows its disk: where it is full, a load fails as NoSpace and leaves nothing. */
  needSpace(): Promise<void> {
    return Promise.resolve();
  }

  /** The server does so by itself (autovacuum, checkpoints). */
  tidy(): Promise<void> {
    return Promise.resolve();
  }

  /** Closes the store after the statements that run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.db[Symbol.asyncDispose]();
  }
}

/** Connections that a saver has at most: each of its actors needs one, and those that read while they hold a lock two. */
const MOST_CONNECTIONS = 12;

/**
 * Opens the database to write: brings the schema up to date, and makes the tables and views of `pipelines`.
 *
 * @throws PermanentError when it refuses, can't keep the store's promises, or was made by a newer program.
 * @throws TransientError when it is away, or another process takes too long over the schema.
 */
export async function openPostgres(url: string, pipelines: readonly Defined[]): Promise<PostgresStore> {
  const db = new Postgres(url, { name: "saver", max: MOST_CONNECTIONS });
  try {
    await checkServer(db);
    await migrate(db);
    await db.transaction(async (session) => {
      await session.run("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK);
      await refreshViews(session, pipelines);
    });
    return new PostgresStore(db);
  } catch (error) {
    await db[Symbol.asyncDispose]();
    throw error;
  }
}
