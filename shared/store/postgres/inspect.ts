/** Checks a PostgreSQL database during setup: whether it can hold the store, and who may read its views. */
import { clockProblem, MOST_CLOCK_SKEW_MS } from "../../contracts/clocks.ts";
import { PermanentError, TransientError } from "../../errors/errors.ts";
import { Postgres } from "./connection.ts";
import type { Reads } from "../store.ts";
import { checkServer, schemaVersion } from "./migrate.ts";
import { readsOf } from "./reads.ts";
import { type Session, sqlText } from "./session.ts";
import { sqlName } from "../sql/sql.ts";

/**
 * Checks version, encoding, isolation, privileges, settings and clock; returns a description.
 *
 * @throws PermanentError saying what must be corrected, TransientError if the server can't be reached.
 */
export async function inspect(url: string): Promise<string> {
  await using db = new Postgres(url, { name: "doctor", max: 1 });
  const { version, encoding } = await checkServer(db);
  const refuse = (wrong: string, todo: string) => {
    throw new PermanentError(`Cannot keep the store in ${db.place}: ${wrong}. ${todo}.`);
  };
  type Found = Record<"fsync" | "pages" | "vacuum" | "readonly" | "schema" | "user" | "mode", string | null>;
  const found = (await db.get<Found>(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, current_schema() AS schema,
       current_setting('autovacuum') AS vacuum, current_setting('default_transaction_read_only') AS readonly,
       CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END AS mode, current_user AS user`,
  ))!;
  if (found.mode === "standby") {
    refuse("the server is a standby, which only takes reads", "Name the primary in DATABASE_URL");
  }
  if (found.fsync === "off" || found.pages === "off") {
    refuse(
      "fsync or full_page_writes is off, so that a crash damages its data",
      "Set both to on and restart the server",
    );
  }
  if (found.vacuum === "off") {
    refuse(
      "autovacuum is off, so that the room of removed rows, and of loads that failed, is never used again",
      "Set it to on",
    );
  }
  if (found.readonly === "on") {
    refuse(
      "default_transaction_read_only is on",
      `Set it to off for this database and for user ${found.user}`,
    );
  }
  if (found.schema === null) refuse("the user has no schema", "Make one that is in its search_path");
  const rights = (await db.get<{ create: boolean }>(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AS create",
  ))!;
  if (!rights.create) {
    const grant = `GRANT CREATE, USAGE ON SCHEMA ${sqlName(found.schema!)} TO ${sqlName(found.user!)}`;
    refuse(`user ${found.user} may not make tables in schema ${found.schema}`, `As its owner: ${grant}`);
  }
  const foreign = await db.get<{ name: string; owner: string }>(
    `SELECT relname AS name, pg_get_userbyid(relowner) AS owner FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace AND relname IN ('etl_schema', 'etl_runs')
       AND NOT pg_has_role(relowner, 'USAGE') LIMIT 1`,
  );
  if (foreign !== undefined) {
    refuse(
      `table ${foreign.name} belongs to ${foreign.owner}, and user ${found.user} can't change it`,
      `Let all services connect as one user`,
    );
  }
  const before = Date.now();
  const { now } =
    (await db.get<{ now: number }>("SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now"))!;
  const wrong = clockProblem(db.place, now, { before, after: Date.now() });
  if (wrong !== undefined) throw new TransientError(wrong);
  return `${db.place}, PostgreSQL ${Math.floor(version / 10_000)}.${
    version % 10_000
  }, ${encoding}, schema ${found.schema}, read committed, clock within ${MOST_CLOCK_SKEW_MS / 1000} s`;
}

/** Limits of the SQL console's user, in addition to those that the console sets in each session. */
const BOUNDS = {
  default_transaction_read_only: "on",
  statement_timeout: "10s",
  work_mem: "16MB",
  hash_mem_multiplier: "1",
  max_parallel_workers_per_gather: "0",
  idle_in_transaction_session_timeout: "10s",
} as const;

/** @throws PermanentError if the user of the SQL console at `url` may do more than read the views. */
export async function inspectConsole(url: string, store: Reads): Promise<string> {
  await using db = new Postgres(url, { name: "doctor", max: 1 });
  const beyond = await rightsBeyond(db, await readableOf(store));
  if (beyond === undefined) return "its user can do no more than read the views";
  throw new PermanentError(
    `The SQL console is off: the user of SQL_DATABASE_URL ${beyond}. Make another one as deno task doctor --grant says.`,
  );
}

/** The tables and views that the console's user may read. */
export async function readableOf({ records, current }: Reads): Promise<string[]> {
  const pipelines = await current.pipelines();
  return [
    ...READABLE,
    ...await records.tables(),
    ...pipelines.flatMap((name) => [name, `${name}_changes`]),
  ];
}

/** Tables that may be read in addition to the views. */
const READABLE = ["etl_runs"] as const;

/**
 * The statements that create a user for the SQL console who can only read the views. The owner of the database must run them. Afterwards every other
 * user needs an explicit privilege to create temporary tables, or tables in the schema.
 *
 * @throws PermanentError if the saver hasn't created the views yet.
 */
export async function grantSql(url: string, user = "etl_sql"): Promise<string> {
  await using db = new Postgres(url, { name: "doctor", max: 1 });
  if (await schemaVersion(db, db.place) === 0) {
    throw new PermanentError(
      `Cannot grant anything in ${db.place}: it has no views yet. Start the saver once.`,
    );
  }
  const { database, schema, owner } = (await db.get<{ database: string; schema: string; owner: string }>(
    "SELECT current_database() AS database, current_schema() AS schema, current_user AS owner",
  ))!;
  const [role, base, room] = [user, database, schema].map(sqlName) as [string, string, string];
  const readable = (await readableOf(readsOf(db))).map((name) => `${room}.${sqlName(name)}`);
  return [
    `-- Choose a password, then: SQL_DATABASE_URL=postgres://${user}:PASSWORD@${db.place}`,
    `CREATE ROLE ${role} LOGIN NOINHERIT PASSWORD 'PASSWORD' CONNECTION LIMIT 20;`,
    ...Object.entries(BOUNDS).map(([name, value]) =>
      `ALTER ROLE ${role} IN DATABASE ${base} SET ${name} = ${sqlText(value)};`
    ),
    `REVOKE TEMPORARY ON DATABASE ${base} FROM PUBLIC;`,
    `REVOKE CREATE ON SCHEMA ${room} FROM PUBLIC;`,
    `GRANT TEMPORARY ON DATABASE ${base} TO ${sqlName(owner)};`,
    `GRANT CONNECT ON DATABASE ${base} TO ${role};`,
    `GRANT USAGE ON SCHEMA ${room} TO ${role};`,
    `GRANT SELECT ON ${readable.join(", ")} TO ${role};`,
    "-- As a superuser, where you can be one: what writes to the server's disk, and how much a query may sort there.",
    `ALTER ROLE ${role} IN DATABASE ${base} SET temp_file_limit = '1GB';`,
    `DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('lo_create', 'lo_creat', 'lo_from_bytea', 'pg_logical_emit_message') LOOP
    EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM PUBLIC';
  END LOOP;
END $$;`,
  ].join("\n");
}

/** What the connected user may do beyond reading `readable`, as words that follow "the user"; undefined if nothing. */
export async function rightsBeyond(db: Session, readable: readonly string[]): Promise<string | undefined> {
  const user = (await db.get<Record<"rules" | "member" | "creates" | "temporary", boolean>>(
    `SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS rules,
       EXISTS (SELECT 1 FROM pg_auth_members WHERE member = r.oid) AS member,
       has_database_privilege(current_database(), 'CREATE') OR EXISTS (
         SELECT 1 FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')) AS creates,
       has_database_privilege(current_database(), 'TEMPORARY') AS temporary
     FROM pg_roles AS r WHERE rolname = current_user`,
  ))!;
  if (user.rules) return "may rule the server";
  if (user.member) return "is a member of another role";
  if (user.creates) return "may make tables";
  if (user.temporary) return "may make temporary tables";
  const writes = "'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'";
  const more = await db.get<{ name: string }>(
    `SELECT relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_toast%'
       AND CASE
         WHEN relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, SELECT, UPDATE')
         WHEN relkind NOT IN ('r', 'v', 'm', 'p', 'f') THEN false
         WHEN n.oid = current_schema()::regnamespace AND relname = ANY($1::text[]) THEN has_table_privilege(c.oid, ${writes})
         ELSE has_table_privilege(c.oid, 'SELECT') OR has_table_privilege(c.oid, ${writes}) OR has_any_column_privilege(c.oid, 'SELECT')
       END
     ORDER BY relname LIMIT 1`,
    readable,
  );
  return more && `may do more with ${more.name} than it should`;
}
