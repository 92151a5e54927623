/** The migrations of the schema in PostgreSQL: numbered steps, forward only. */
import { PermanentError, TransientError } from "../../errors/errors.ts";
import type { Postgres } from "./connection.ts";
import type { Session } from "./session.ts";
import runsAndRecords from "./migrations/0001_runs_and_records.sql" with { type: "text" };
import trimmed from "./migrations/0002_trimmed.sql" with { type: "text" };
import extractorState from "./migrations/0003_extractor_state.sql" with { type: "text" };

/** All steps; number n leads to schema version n. A released step is never changed. */
const MIGRATIONS: readonly string[] = [runsAndRecords, trimmed, extractorState];

/** The schema version of this program. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/** The oldest supported server version. */
const OLDEST_SERVER = 15;

/** The advisory lock for changes of what all pipelines share: the schema and the views. */
export const SCHEMA_LOCK = 7_305_808_869_229_538_661n; // the bytes of "etl_sche"

interface ServerFacts {
  /** Such as 150018. */
  readonly version: number;
  readonly encoding: string;
  readonly isolation: string;
  /** `on` if a commit is on the disk before it is acknowledged. */
  readonly commit: string;
}

/**
 * Refuses a server on which the store's guarantees wouldn't hold.
 *
 * @throws PermanentError for one that is too old, doesn't use UTF-8, or acknowledges commits before they are durable.
 */
export async function checkServer(db: Postgres): Promise<ServerFacts> {
  const facts = (await db.get<ServerFacts>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding,
       current_setting('transaction_isolation') AS isolation, current_setting('synchronous_commit') AS commit`,
  ))!;
  const wrong = unfit(facts);
  if (wrong !== undefined) {
    throw new PermanentError(`Cannot use the database ${db.place}: ${wrong}, and start again.`);
  }
  return facts;
}

/** Why the store's guarantees wouldn't hold on a server, and what to do; undefined if they hold. */
export function unfit({ version, encoding, isolation, commit }: ServerFacts): string | undefined {
  if (version < OLDEST_SERVER * 10_000) {
    const major = Math.floor(version / 10_000);
    return `the server has version ${major}, wanted ${OLDEST_SERVER} or newer. Upgrade it`;
  }
  if (encoding !== "UTF8") {
    return `its encoding is ${encoding}, wanted UTF8. Make a database with ENCODING 'UTF8' TEMPLATE template0`;
  }
  if (isolation !== "read committed") {
    return `its transactions are "${isolation}" though "read committed" was asked for. ` +
      `Connect to the server itself, or through a pooler that keeps a client's settings`;
  }
  if (commit === "off") {
    return `synchronous_commit is off, so that a crash loses what was committed. ` +
      `Set it to on for this database (ALTER DATABASE … SET synchronous_commit = on)`;
  }
  return undefined;
}

/**
 * The database's schema version; 0 before the first step.
 *
 * @throws PermanentError if the database was made by a newer version.
 */
export async function schemaVersion(db: Session, place: string): Promise<number> {
  // not to_regclass, which doesn't see tables committed while this transaction waited
  const isMade = await db.get(
    "SELECT 1 FROM pg_class WHERE relname = 'etl_schema' AND relnamespace = ANY(current_schemas(false)::regnamespace[])",
  );
  if (isMade === undefined) return 0;
  const { version } = (await db.get<{ version: number }>("SELECT version FROM etl_schema"))!;
  if (version > SCHEMA_VERSION) {
    throw new PermanentError(
      `Cannot use the database ${place}: its schema has version ${version}, but this program knows versions up to ${SCHEMA_VERSION}. ` +
        `Start the newer program, or put back a backup from before it ran.`,
    );
  }
  return version;
}

/** @throws TransientError if a newer version has changed the schema since this one opened it: the newer one will do the work. */
export async function refuseNewer(session: Session, place: string): Promise<void> {
  const { version } = (await session.get<{ version: number }>("SELECT version FROM etl_schema"))!;
  if (version <= SCHEMA_VERSION) return;
  throw new TransientError(
    `Cannot write to the database ${place}: a newer program has brought its schema to version ${version}, and this one knows ` +
      `versions up to ${SCHEMA_VERSION}. Replace this program by the newer one.`,
  );
}

/**
 * Migrates the database to `SCHEMA_VERSION`, each step in its own transaction. Several processes may migrate concurrently.
 *
 * @throws PermanentError if the database was made by a newer version, or has tables of these names that aren't ours.
 * @throws TransientError if another process takes too long to migrate.
 */
export async function migrate(db: Postgres): Promise<void> {
  while (await schemaVersion(db, db.place) < SCHEMA_VERSION) {
    await db.transaction(async (session) => {
      await session.run("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK);
      const version = await schemaVersion(session, db.place); // another process may have migrated meanwhile
      if (version === SCHEMA_VERSION) return;
      if (version === 0) await refuseForeign(session, db.place);
      await session.script(MIGRATIONS[version]!);
      await session.script(
        version === 0
          ? "CREATE TABLE etl_schema (version INTEGER NOT NULL); INSERT INTO etl_schema VALUES (1)"
          : `UPDATE etl_schema SET version = ${version + 1}`,
      );
    });
  }
}

async function refuseForeign(session: Session, place: string): Promise<void> {
  const found = await session.all<{ name: string }>(
    `SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL`,
    [...MIGRATIONS[0]!.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, name]) => name!),
  );
  if (found.length === 0) return;
  throw new PermanentError(
    `Cannot use the database ${place}: it holds tables that this program did not make (${
      found.map(({ name }) => name).join(", ")
    }). Nothing was changed. Set DATABASE_URL to a database of its own, and start again.`,
  );
}

/** Whether the database has this program's schema, and the views, which are created last. */
export async function hasSchema(db: Postgres): Promise<boolean> {
  if (await schemaVersion(db, db.place) !== SCHEMA_VERSION) return false;
  return (await db.get("SELECT 1 FROM pipelines LIMIT 1")) !== undefined;
}
