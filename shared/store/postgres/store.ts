/** A store in PostgreSQL as the saver opens it. Any number of savers, on any machine, may have one each. */
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

/** The store as the saver opens it. */
class PostgresStore extends SqlStore implements Store {
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

  /** Refuses to load after a newer version has changed the schema; that version's saver loads instead. */
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

  /** Checks nothing, as clients can't see the server's disk. If it is full, a load fails with NoSpace and is rolled back. */
  needSpace(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing: the server maintains itself (autovacuum, checkpoints). */
  tidy(): Promise<void> {
    return Promise.resolve();
  }

  /** Closes the store after its running statements. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.db[Symbol.asyncDispose]();
  }
}

/** Adds columns for new keys. Few runs have any, so the schema is locked only then. */
async function showFields(session: Session, pipeline: string, fields: readonly string[]): Promise<void> {
  const known = new Set(await fieldsOf(session, pipeline));
  if (fields.every((field) => known.has(field))) return;
  await session.run("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK);
  if (await addFields(session, pipeline, fields)) await refreshViews(session);
}

/** The maximum number of a saver's connections: each of its actors needs one, or two if it reads while it holds a lock. */
const MOST_CONNECTIONS = 12;

/**
 * Opens the database for writing: migrates the schema, and creates the tables and views of `pipelines`.
 *
 * @throws PermanentError if it refuses access, can't keep the store's guarantees, or was made by a newer version.
 * @throws TransientError if it can't be reached, or another process takes too long to migrate.
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
