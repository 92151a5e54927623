/**
 * The saver's side of a store in PostgreSQL. Any number of savers may have one each, on any machine.
 *
 * @module
 */
import type { Trimmed } from "../rows.ts";
import type { Defined } from "../shown.ts";
import { addFields } from "../sql/columns.ts";
import { announceRun, noteLoaded, sampleFields } from "../sql/run_writes.ts";
import { fieldsOf } from "../sql/shown.ts";
import { SqlStore } from "../sql/store.ts";
import type { Stoppable, Store } from "../store.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadedRun, LoadOptions, RunToLoad } from "../writes.ts";
import { Postgres } from "./connection.ts";
import { moveCurrent } from "./current_move.ts";
import { noteGrowth } from "./growth.ts";
import { loadFile } from "./load.ts";
import { checkServer, migrate, refuseNewer, SCHEMA_LOCK } from "./migrate.ts";
import { readsOf } from "./reads.ts";
import type { Session } from "./session.ts";
import { trimRuns } from "./trim.ts";
import { refreshViews } from "./views.ts";
import { unmoved } from "../sql/moves.ts";

/** The saver's side. */
export class PostgresStore extends SqlStore implements Store {
  /** Made by `openPostgres`. */
  constructor(private readonly db: Postgres) {
    super(readsOf(db));
  }

  protected transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.db.transaction(work);
  }

  async announceRun(run: RunToLoad): Promise<void> {
    if (await this.runs.byRunId(run.runId) !== undefined) return;
    await this.#load((session) => announceRun(session, run));
  }

  loadFile(file: FileToLoad, lines: LineSource, options: LoadOptions = {}): Promise<LoadedFile> {
    return this.#load((session) => loadFile(session, file, lines, options));
  }

  markLoaded(run: LoadedRun, { signal }: Stoppable = {}): Promise<void> {
    return this.#load(async (session) => {
      await session.lock("pipeline", run.pipeline);
      await noteLoaded(session, run);
      await showFields(session, run.pipeline, run.fields ?? await sampleFields(session, run));
      await moveCurrent(session, run, signal);
      await noteGrowth(session);
    });
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
        await session.lock("pipeline", run.pipeline);
        await moveCurrent(session, run, signal);
      });
    }
    return runs.length;
  }

  trim(before: string, { signal }: Stoppable = {}): Promise<Trimmed> {
    return trimRuns(this.db, before, signal);
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

/** Gives new keys their columns. Few runs have any, so the schema is locked only then. */
async function showFields(session: Session, pipeline: string, fields: readonly string[]): Promise<void> {
  const known = new Set(await fieldsOf(session, pipeline));
  if (fields.every((field) => known.has(field))) return;
  await session.run("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK);
  if (await addFields(session, pipeline, fields)) await refreshViews(session);
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
