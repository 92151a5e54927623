/** Runs statements with the same values as SQLite, and a time limit for each wait. */
import { once } from "node:events";
import type { Writable } from "node:stream";
import type { PostgresType, Row, Sql as Client } from "postgres";
import type { Cell, Table } from "../rows.ts";
import type { Bindable, Dialect, Lock, Sql } from "../sql/sql.ts";

/** Runs statements, either in a transaction, or on any connection, where each statement is its own transaction. */
export interface Session extends Sql {
  /** Runs several statements without parameters. */
  script(text: string): Promise<void>;
  /** A query of unknown shape; two columns with the same name are both returned. */
  table(text: string, ...values: Bindable[]): Promise<Table>;
  /** `COPY … FROM STDIN` of `pieces`, in the text format; atomic. A piece can be reused once the next one is requested. */
  copy(text: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void>;
}

/** PostgreSQL's dialect of the shared statements. */
export const DIALECT: Dialect = {
  isIn: (value, parameter, type) => `${value} = ANY(${parameter}::${type}[])`,
  listed: (parameter) => `unnest(${parameter}::bigint[]) WITH ORDINALITY AS c (value, n)`,
  textIn: (text, keys) => `etl_record(${text}) #>> '{${keys.join(",")}}'`,
  notAhead: (parameter) =>
    `least(${parameter}::text COLLATE "C", to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`,
  countRuns: (isLoaded) =>
    `SELECT coalesce(sum(${isLoaded ? "loaded" : "runs"}), 0)::bigint AS n FROM run_counts`,
};

const LOCKS: Readonly<Record<Lock, number>> = {
  file: 0x65746c31,
  run: 0x65746c32,
  pipeline: 0x65746c33,
  events: 0x65746c34,
};

/** Runs statements on the connection that `use` provides; `use` limits each wait and classifies its errors. */
export function sessionOf(
  use: <T>(work: (sql: Client, wait: Wait) => Promise<T>) => Promise<T>,
): Session {
  const all = <T>(text: string, ...values: Bindable[]) =>
    use(async (sql, wait) => [...await wait(query(sql, text, values))] as T[]);
  const run = (text: string, ...values: Bindable[]) =>
    use(async (sql, wait) => (await wait(query(sql, text, values))).count ?? 0);
  return {
    dialect: DIALECT,
    all,
    async get<T>(text: string, ...values: Bindable[]) {
      return (await all<T>(text, ...values))[0];
    },
    run,
    async lock(kind, name = "", { shared = false } = {}) {
      const lock = `pg_advisory_xact_lock${shared ? "_shared" : ""}`;
      await run(`SELECT ${lock}($1::int, hashtext($2))`, LOCKS[kind], name);
    },
    script: (text) => use(async (sql, wait) => void await wait(sql.unsafe(text).simple())),
    table: (text, ...values) =>
      use(async (sql, wait) => {
        // not prepared, as the columns of a view may have changed
        // nor simple, which would allow several statements
        const options = { prepare: false, simple: false };
        const rows = await wait(sql.unsafe(text, values.map(toNative), options).values());
        return { columns: rows.columns.map(({ name }) => name), rows: [...rows] as Cell[][] };
      }),
    copy: (text, pieces) => use((sql, wait) => copy(sql, wait, text, pieces)),
  };
}

/** Waits, at most for the time limit of a statement. */
export type Wait = <T>(work: PromiseLike<T>) => Promise<T>;

/** A query of the client that accepts rows. */
interface Copying {
  reject: (error: Error) => void;
  writable(): Promise<Writable>;
}

async function copy(
  sql: Client,
  wait: Wait,
  text: string,
  pieces: AsyncIterable<string | Uint8Array>,
): Promise<void> {
  const query = sql.unsafe(text) as unknown as Copying;
  // an error after the last row only rejects the query, whose promise is settled by then
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => {});
  const { reject } = query;
  query.reject = (error) => {
    reject(error);
    refused.reject(error);
  };
  // on a lost connection nothing awaits these promises, so nothing else would catch their errors
  const opened = query.writable();
  opened.catch(() => {});
  const stream = await wait(opened);
  const closed = once(stream, "close").then(() => {
    if (stream.errored) throw stream.errored;
  });
  const ended = Promise.race([closed, refused.promise]);
  let fail = (_error: unknown) => {};
  ended.catch((error) => fail(error));
  try {
    for await (const piece of pieces) {
      // not a race against `ended`, which would retain memory for each piece
      const taken = Promise.withResolvers<void>();
      taken.promise.catch(() => {});
      fail = taken.reject;
      // a lost connection ends the wait
      stream.write(piece, (error) => error ? taken.reject(stream.errored ?? error) : taken.resolve());
      await wait(taken.promise);
    }
  } catch (error) {
    // rolls back the rows already copied
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
  stream.end();
  await wait(ended);
}

function query(sql: Client, text: string, values: Bindable[]) {
  const options = { prepare: true, simple: false }; // a text without values is prepared, too
  return sql.unsafe<Row[]>(text, values.map(toNative), options);
}

function toNative(value: Bindable) {
  if (value === undefined) return null;
  if (typeof value === "string") return value.replaceAll("\0", "\ufffd"); // TEXT can't hold NUL
  if (typeof value === "boolean") return value ? 1 : 0;
  return value as number;
}

/** The object ids of the types whose values are converted to those of SQLite. */
const [INT8, JSON_TEXT, NUMERIC, TEXTS, INT8S] = [20, 114, 1700, 1009, 1016];

/** Whole numbers beyond 2^53 are `bigint`; dates and JSON stay text. */
export const TYPES: Record<string, PostgresType> = {
  int8: { to: INT8, from: [INT8], serialize: String, parse: wholeOf },
  numeric: { to: NUMERIC, from: [NUMERIC], serialize: String, parse: numberOf },
  texts: { to: TEXTS, from: [TEXTS], serialize: arrayOf, parse: String },
  int8s: { to: INT8S, from: [INT8S], serialize: arrayOf, parse: String },
  json: { to: JSON_TEXT, from: [JSON_TEXT, 3802], serialize: String, parse: String },
  date: { to: 1184, from: [1082, 1114, 1184], serialize: String, parse: String },
};

function wholeOf(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** A number, or its text if a JavaScript number can't hold all the digits. */
function numberOf(text: string): number | bigint | string {
  if (/^-?\d+$/.test(text)) return wholeOf(text);
  const number = Number(text);
  return String(number) === text.replace(/0+$/, "").replace(/\.$/, "") ? number : text;
}

function arrayOf(items: readonly (string | number)[]): string {
  return `{${items.map((item) => `"${String(item).replaceAll(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/** Quotes `text` as an SQL string. */
export function sqlText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}
