/**
 * Running statements: values as SQLite has them, and each wait bounded.
 *
 * @module
 */
import { once } from "node:events";
import type { Writable } from "node:stream";
import type { PostgresType, Row, Sql as Client } from "postgres";
import type { Cell, Table } from "../rows.ts";
import type { Bindable, Dialect, Lock, Sql } from "../sql/sql.ts";

/** What runs statements: a transaction, or all connections together, each statement a transaction of its own. */
export interface Session extends Sql {
  /** Runs several statements without parameters. */
  script(text: string): Promise<void>;
  /** A query of unknown shape, so that two columns of one name are both there. */
  table(text: string, ...values: Bindable[]): Promise<Table>;
  /** `COPY … FROM STDIN` of what `pieces` holds, in its text format. Whole or not at all. A piece can be reused once the next one is requested. */
  copy(text: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void>;
}

/** The parts of common statements in PostgreSQL's own SQL. */
export const DIALECT: Dialect = {
  isIn: (value, parameter, type) => `${value} = ANY(${parameter}::${type}[])`,
  listed: (parameter) => `unnest(${parameter}::bigint[]) WITH ORDINALITY AS c (value, n)`,
  textIn: (text, keys) => `etl_record(${text}) #>> '{${keys.join(",")}}'`,
  countRuns: (isLoaded) =>
    `SELECT coalesce(sum(${isLoaded ? "loaded" : "runs"}), 0)::bigint AS n FROM run_counts`,
};

const LOCKS: Readonly<Record<Lock, number>> = {
  file: 0x65746c31,
  run: 0x65746c32,
  pipeline: 0x65746c33,
  told: 0x65746c34,
};

/** Runs statements by the connection that `use` gives; it bounds and classifies what the work waits for. */
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
        // nor simple, which would take several statements
        const options = { prepare: false, simple: false };
        const rows = await wait(sql.unsafe(text, values.map(toNative), options).values());
        return { columns: rows.columns.map(({ name }) => name), rows: [...rows] as Cell[][] };
      }),
    copy: (text, pieces) => use((sql, wait) => copy(sql, wait, text, pieces)),
  };
}

/** Waits, at most as long as a statement may take. */
export type Wait = <T>(work: PromiseLike<T>) => Promise<T>;

/** A query of the client that takes rows. */
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
  // what the server refuses after the end of the rows is told to the query alone, which has been answered by then
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => {});
  const { reject } = query;
  query.reject = (error) => {
    reject(error);
    refused.reject(error);
  };
  // a connection that is lost by now is not waited for, and nobody else would catch these
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
      // not a race against `ended`, which would keep something of each
      const taken = Promise.withResolvers<void>();
      taken.promise.catch(() => {});
      fail = taken.reject;
      // a connection that is lost isn't waited for
      stream.write(piece, (error) => error ? taken.reject(stream.errored ?? error) : taken.resolve());
      await wait(taken.promise);
    }
  } catch (error) {
    // what is in the table already is taken back
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
  if (typeof value === "string") return value.replaceAll("\0", "\ufffd"); // which TEXT can't hold
  if (typeof value === "boolean") return value ? 1 : 0;
  return value as number;
}

/** The object ids of the types that aren't what they are to SQLite. */
const [INT8, JSON_TEXT, NUMERIC, TEXTS, INT8S] = [20, 114, 1700, 1009, 1016];

/** Whole numbers beyond 2^53 come as `bigint`; dates and JSON stay text. */
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

/** Text where a number of JavaScript can't hold all the digits. */
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
