/** Runs the statements that both engines share, in SQLite. */
import { type Database, sqlText } from "../../sqlite/database.ts";
import type { Bindable, Dialect, Sql } from "../sql/sql.ts";

const DIALECT: Dialect = {
  // a list is bound as a JSON array: one statement serves every length
  isIn: (value, parameter) => `${value} IN (SELECT value FROM json_each(${parameter}))`,
  listed: (parameter) => `(SELECT value, key + 1 AS n FROM json_each(${parameter})) AS c`,
  textIn: (text, keys) => `json_extract(${text}, ${sqlText(`$.${keys.join(".")}`)})`,
  notAhead: (parameter) => `min(${parameter}, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))`,
  // SQLite counts rows one by one, except those of a whole table: so it counts the few runs that aren't loaded
  countRuns: (isLoaded) =>
    isLoaded
      ? `SELECT (SELECT count(*) FROM etl_runs) - (SELECT count(*) FROM etl_runs WHERE (loaded_at IS NULL) = 1) AS n`
      : "SELECT count(*) AS n FROM etl_runs",
};

/** Runs statements with `db`. Locks do nothing, as a write transaction excludes all others. */
export function sqlOf(db: Database): Sql {
  return {
    dialect: DIALECT,
    all: (text, ...values) => settled(() => db.all(numbered(text), ...values.map(boundOf))),
    get: (text, ...values) => settled(() => db.get(numbered(text), ...values.map(boundOf))),
    run: (text, ...values) => settled(() => db.run(numbered(text), ...values.map(boundOf))),
    lock: () => Promise.resolve(),
  };
}

/** Turns a thrown error into a rejection, in place of async methods. */
function settled<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()));
}

/** Replaces `$1` by SQLite's numbered parameters, except inside quotes. */
function numbered(text: string): string {
  return text.replaceAll(
    /'[^']*'|"[^"]*"|\$(\d+)/g,
    (found, n?: string) => n === undefined ? found : `?${n}`,
  );
}

function boundOf(value: Bindable) {
  return Array.isArray(value) ? JSON.stringify(value) : value as Exclude<Bindable, readonly unknown[]>;
}

/** A number that changes with every commit of another connection. */
export function versionOf(db: Database): number {
  return db.get<{ data_version: number }>("PRAGMA data_version")!.data_version;
}
