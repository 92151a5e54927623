/**
 * The SQL console on PostgreSQL. A query runs as a user that can only read the views, in its own connection and
 * read-only transaction. The server enforces the user's rights; that they are no wider is checked before each query.
 */
import { messageOf, PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { Postgres } from "../../shared/store/postgres/connection.ts";
import { readableOf, rightsBeyond } from "../../shared/store/postgres/inspect.ts";
import type { Session } from "../../shared/store/postgres/session.ts";
import type { ReadStore } from "../../shared/store/store.ts";
import type { SqlAnswer, SqlConsole } from "../ports.ts";
import type { Bounds } from "./engine.ts";
import { SqlRefused, SqlUnavailable } from "./errors.ts";
import { rowJson } from "./row_json.ts";
import { type TurnOptions, Turns } from "./turns.ts";

interface PostgresConsoleOptions extends Bounds, TurnOptions {
  /** Undefined if the console has no user. */
  readonly url: string | undefined;
  readonly store: () => Promise<ReadStore | undefined>;
}

const REMEDY = "deno task doctor --grant prints the statements that make a user for it";

/** The server may send this many bytes for each byte of the answer: names, lengths, digits. */
const SENT_PER_BYTE = 2;

/** Opens the console. It connects for each query. */
export function openPostgresConsole(options: PostgresConsoleOptions): SqlConsole {
  const turns = new Turns(options);
  return { query: (sql, signal) => turns.run(() => run(sql, signal, options), signal) };
}

async function run(sql: string, signal: AbortSignal, options: PostgresConsoleOptions): Promise<SqlAnswer> {
  const { url, timeoutMs, maxBytes } = options;
  if (url === undefined) {
    throw new SqlUnavailable(`The SQL console is off: SQL_DATABASE_URL is not set. ${REMEDY}.`);
  }
  if (sql.includes("\0")) throw new SqlRefused("the statement holds a NUL character.");
  const store = await options.store();
  if (store === undefined) throw new SqlUnavailable("The database hasn't been created yet.");
  const readable = await readableOf(store);
  await using db = new Postgres(url, {
    name: "console",
    max: 1,
    statementMs: timeoutMs,
    mostBytes: maxBytes * SENT_PER_BYTE + 100_000,
    settings: {
      default_transaction_read_only: "on",
      work_mem: "16MB",
      client_connection_check_interval: "500ms",
    },
  });
  const gone = () => db.abandon();
  signal.addEventListener("abort", gone);
  try {
    signal.throwIfAborted();
    const beyond = await rightsBeyond(db, readable);
    if (beyond !== undefined) {
      throw new SqlUnavailable(`The SQL console is off: the user of SQL_DATABASE_URL ${beyond}. ${REMEDY}.`);
    }
    return await db.transaction((session) => answer(session, sql, options), "READ ONLY");
  } catch (error) {
    throw refusal(error, signal, readable, options);
  } finally {
    signal.removeEventListener("abort", gone);
  }
}

/** Fetches rows in small parts, so that no more is read than answered. */
async function answer(
  session: Session,
  sql: string,
  { timeoutMs, maxRows, maxBytes }: Bounds & TurnOptions,
): Promise<SqlAnswer> {
  const until = performance.now() + timeoutMs;
  // a query may change its own session's settings, so they are set again before each part
  const bounded = async (statement: string) => {
    const left = Math.ceil(until - performance.now());
    if (left <= 0) throw new SqlRefused(tooLong(timeoutMs));
    await session.run(`SET LOCAL statement_timeout = ${left}`);
    return await session.table(statement);
  };
  await bounded(`DECLARE answer NO SCROLL CURSOR FOR ${sql}`);
  const rows: string[] = [];
  let columns: string[] = [];
  let bytes = 2;
  for (let isCut = false;;) {
    const perRow = rows.length === 0 ? maxBytes : bytes / rows.length;
    const wanted = Math.max(
      1,
      Math.min(200, maxRows + 1 - rows.length, Math.floor((maxBytes - bytes) / perRow)),
    );
    const part = await bounded(`FETCH ${wanted} FROM answer`);
    columns = part.columns;
    for (const values of part.rows) {
      const row = rowJson(columns, values);
      bytes += new TextEncoder().encode(row).length + 1;
      isCut ||= rows.length === maxRows || bytes > maxBytes;
      if (!isCut) rows.push(row);
    }
    if (isCut || part.rows.length < wanted) {
      return { columns, rows: new TextEncoder().encode(`[${rows.join(",")}]`), truncated: isCut };
    }
  }
}

function refusal(
  error: unknown,
  signal: AbortSignal,
  readable: readonly string[],
  { timeoutMs }: PostgresConsoleOptions,
): unknown {
  if (error instanceof SqlRefused || error instanceof SqlUnavailable) return error;
  if (signal.aborted) return new SqlRefused("the client is gone.");
  const cause = error instanceof TransientError || error instanceof PermanentError ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "57014" || code === "SILENT") return new SqlRefused(tooLong(timeoutMs));
  if (code === "08P01") return new SqlRefused("parameters have no value here; write the value instead.");
  if (code === "TOO_LARGE") return new SqlRefused("too large: the query makes values that are too large.");
  if (code === "42501" || code === "25006") {
    return new SqlRefused(
      `${messageOf(cause)}; only SELECT on ${readable.join(", ")} and everyday functions are allowed`,
    );
  }
  if (error instanceof PermanentError) {
    return new SqlUnavailable(error.message.replaceAll("DATABASE_URL", "SQL_DATABASE_URL"));
  }
  if (error instanceof TransientError && !/^(53|54)/.test(code)) return new SqlUnavailable(error.message);
  // the server's message about the statement
  return /^[0-9A-Z]{5}$/.test(code) ? new SqlRefused(messageOf(cause)) : error;
}

function tooLong(timeoutMs: number): string {
  return `the query ran for more than ${timeoutMs} ms and was ended.`;
}
