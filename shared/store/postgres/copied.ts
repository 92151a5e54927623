/** Writes another store's rows into an empty database, and reads them back. */
import { PermanentError } from "../../errors/errors.ts";
import { FILE_KINDS } from "../../contracts/names.ts";
import type { Shown } from "../shown.ts";
import { columnsSql } from "./current_table.ts";
import { copyValue, PIECE } from "./load.ts";
import { SCHEMA_LOCK } from "./migrate.ts";
import { parsed, pathSql } from "./record_sql.ts";
import { type Session, sqlText } from "./session.ts";
import { refreshViews } from "./views.ts";
import { baseTable, changesTable, currentTable } from "../sql/tables.ts";

/** Pages of rows, each row the values of the table's columns. */
export type Pages = Iterable<readonly (readonly (string | number | null)[])[]>;

/** Tables that services fill at their start, before any run. */
const FILLED_AT_START = ["pipelines", "pipeline_fields", "watched_schedules"];

/** The tables that aren't empty, with the number of their rows. */
export async function contentsOf(session: Session, tables: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const table of tables) {
    if (FILLED_AT_START.includes(table)) continue;
    const rows = await countOf(session, table);
    if (rows > 0) found.set(table, rows);
  }
  return found;
}

export async function countOf(session: Session, table: string): Promise<number> {
  return (await session.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`))!.n;
}

/**
 * Refuses a database without our schema that holds tables.
 *
 * @throws PermanentError naming some of them.
 */
export async function refuseForeign(session: Session, place: string): Promise<void> {
  const tables = await session.all<{ name: string }>(
    `SELECT relname AS name FROM pg_class AS c WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
       AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY relname LIMIT 6`,
  );
  if (tables.length === 0) return;
  throw new PermanentError(
    `Cannot copy into ${place}: it isn't empty, it has tables that this program did not make (${
      tables.slice(0, 5).map(({ name }) => name).join(", ")
    }${
      tables.length > 5 ? ", …" : ""
    }). Nothing was changed. Name a database that holds nothing (CREATE DATABASE … ENCODING 'UTF8').`,
  );
}

/** Locks the tables exclusively until the transaction ends. */
export async function lockTables(session: Session, tables: readonly string[]): Promise<void> {
  await session.run("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK);
  await session.script(`LOCK TABLE ${tables.join(", ")} IN ACCESS EXCLUSIVE MODE`);
}

/** Empties the tables, so that rows copied in the same transaction are written only once, already frozen. */
export async function emptyTables(session: Session, tables: readonly string[]): Promise<void> {
  await session.script(`TRUNCATE ${[...tables, "run_counts"].join(", ")}`);
}

/** Creates the empty tables of the pipelines in `pipelines`, and their views. */
export async function makeTables(session: Session, pipelines: readonly Shown[]): Promise<void> {
  await refreshViews(session, pipelines.map((shown) => ({ ...shown, keys: [] })));
  const tables = pipelines.flatMap(({ name, current }) => [
    ...FILE_KINDS.map((kind) => baseTable(kind, name)),
    ...current === null ? [] : [currentTable(name), changesTable(name)],
  ]);
  if (tables.length > 0) await session.script(`TRUNCATE ${tables.join(", ")}`);
}

/** The columns of all tables, as `table.column`. */
export async function columnsOf(session: Session): Promise<Set<string>> {
  const columns = await session.all<{ name: string }>(
    `SELECT table_name || '.' || column_name AS name FROM information_schema.columns WHERE table_schema = current_schema()`,
  );
  return new Set(columns.map(({ name }) => name));
}

/** Copies rows into a table that was emptied in the same transaction. */
export async function copyRows(
  session: Session,
  table: string,
  columns: readonly string[],
  pages: Pages,
): Promise<void> {
  await session.copy(`COPY ${table} (${columns.join(", ")}) FROM STDIN WITH (FREEZE)`, piecesOf(pages));
}

async function* piecesOf(pages: Pages): AsyncGenerator<string> {
  let piece = "";
  for (const rows of pages) {
    for (const row of rows) {
      piece += `${row.map(copyValue).join("\t")}\n`;
      if (piece.length < PIECE) continue;
      yield await Promise.resolve(piece);
      piece = "";
    }
  }
  if (piece !== "") yield piece;
}

/**
 * Writes a current state after its records: id, record, first, changed, seen, and the key as JSON. Key and columns are read from the record by this
 * engine.
 */
export async function insertCurrent(session: Session, { name, current }: Shown, pages: Pages): Promise<void> {
  const columns = columnsSql(current!);
  for (const rows of pages) {
    await session.run(
      `INSERT INTO ${currentTable(name)} (id, record, first, changed, seen, key${
        columns.map(({ name }) => `, ${name}`).join("")
      })
       SELECT s.id, s.record, s.first, s.changed, s.seen,
         coalesce(etl_key(x.v, ${pathSql(current!.key)}), ${KEY})${
        columns.map(({ value }) => `, ${value}`).join("")
      }
       FROM (${rowsSql("id bigint", "record bigint", "first bigint", "changed bigint", "seen bigint")}) AS s
         LEFT JOIN ${baseTable("processed", name)} AS p ON p.id = s.record ${parsed("p.json")}`,
      JSON.stringify(rows),
    );
  }
}

/** Writes the changes of a current state: move, change, fields, before, after, and the key as JSON. */
export async function insertChanges(session: Session, { name }: Shown, pages: Pages): Promise<void> {
  for (const rows of pages) {
    await session.run(
      `INSERT INTO ${changesTable(name)} (move, change, fields, before, after, key)
       SELECT s.move, s.change, s.fields, s.before, s.after, ${KEY}
       FROM (${rowsSql("move bigint", "change text", "fields text", "before bigint", "after bigint")}) AS s`,
      JSON.stringify(rows),
    );
  }
}

/** The stored form of a key given as JSON. */
const KEY = "etl_key(etl_record(s.key), '{}')";

/** The rows bound to $1 as JSON, with these columns and the key. */
function rowsSql(...columns: string[]): string {
  const cells = [...columns, "key text"].map((column, n) => {
    const [name, type] = column.split(" ");
    return `(v ->> ${n})::${type} AS ${name}`;
  });
  return `SELECT ${cells.join(", ")} FROM json_array_elements($1::json) AS v`;
}

/** Sets the sequence of a table's ids to continue after `last`. */
export async function continueAfter(session: Session, table: string, last: number): Promise<void> {
  if (last > 0) {
    await session.run(
      `SELECT setval(s, $1) FROM pg_get_serial_sequence(${sqlText(table)}, (SELECT attname FROM pg_attribute
         WHERE attrelid = ${sqlText(table)}::regclass AND attidentity <> '')) AS s WHERE s IS NOT NULL`,
      last,
    );
  }
}

/** Opens a query; the result reads its next rows. `name` must be unique among the open queries of the transaction. */
export async function openQuery(
  session: Session,
  name: string,
  query: string,
): Promise<(count: number) => Promise<unknown[][]>> {
  await session.script(`DECLARE ${name} NO SCROLL CURSOR FOR ${query}`);
  return async (count) => (await session.table(`FETCH ${count} FROM ${name}`)).rows;
}
