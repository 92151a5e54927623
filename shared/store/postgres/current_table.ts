/**
 * The tables behind `NAME` and `NAME_changes`, and these views. A row of `current$NAME` holds what people count and look for; all else of a record
 * is read from the processed record that it refers to.
 *
 * @module
 */
import type { CurrentColumn, CurrentShape } from "../current_shape.ts";
import { hides, type Mask, MASKED } from "../mask.ts";
import type { Shown } from "../shown.ts";
import { baseTable, fieldSql, parsed, valueSql } from "./record_sql.ts";
import { type Session, sqlName, sqlText } from "./session.ts";
import { columnName, noted, refreshView } from "./view_sql.ts";

/** Columns that follow the record's own in the view `NAME`. */
export const CURRENT_META = ["first_run", "changed_run", "seen_run", "changed_at"];

/** Characters of a text that an index holds: an entry has room for 2,700 bytes. */
export const INDEXED_CHARACTERS = 300;

/** The table of a pipeline's current state, as SQL. */
export function currentTable(pipeline: string): string {
  return sqlName(`current$${pipeline}`); // no view has a name with a $
}

/** The table of what changed in a pipeline's current state, as SQL. */
export function changesTable(pipeline: string): string {
  return sqlName(`changes$${pipeline}`);
}

/** The name and the value, from a processed record that is `parsed`, of each column that the definition asks for. */
export function columnsSql({ columns }: CurrentShape): { name: string; value: string }[] {
  return columns.map((column, n) => ({ name: `c${n}`, value: fieldSql(column, "x.v") }));
}

/** A column of the row in `run_moves` with an id, as SQL. */
export function ofMove(column: string, id: string): string {
  return `(SELECT m.${column} FROM run_moves AS m WHERE m.id = ${id})`;
}

/** The id of the newest complete run of a pipeline in `run_moves`, as SQL. */
export function newestComplete(pipeline: string): string {
  return `(SELECT n.id FROM run_moves AS n WHERE n.pipeline = ${
    sqlText(pipeline)
  } AND n.complete = 1 ORDER BY n.place DESC LIMIT 1)`;
}

/** Makes what a pipeline's current state is kept in, where it isn't as its definition wants it, and the views. To be called in a write transaction. */
export async function refreshCurrent(db: Session, shown: Shown, fields: readonly string[]): Promise<void> {
  const { name, current: shape } = shown;
  if (shape === null) {
    await db.script(
      `DROP VIEW IF EXISTS ${sqlName(name)}; DROP VIEW IF EXISTS ${sqlName(`${name}_changes`)}`,
    );
    return;
  }
  await refreshTable(db, name, shape);
  await refreshIndexes(db, name, shape);
  const changes = changesTable(name);
  await db.script(
    `CREATE TABLE IF NOT EXISTS ${changes} (
      move BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL,
      key_order NUMERIC GENERATED ALWAYS AS (etl_key_order(key)) STORED,
      change TEXT NOT NULL, fields TEXT, before BIGINT, after BIGINT, PRIMARY KEY (move, key_order, key)
    );
    CREATE INDEX IF NOT EXISTS ${sqlName(`changes$${name} key`)} ON ${changes} (key, move)`,
  );
  await refreshView(db, name, currentSelect(shown, shape, fields));
  await refreshView(db, `${name}_changes`, changesSelect(shown, shape));
}

/** A table whose fields are others is filled from the records; one whose key is another begins empty, and is filled from the runs. */
async function refreshTable(db: Session, pipeline: string, shape: CurrentShape): Promise<void> {
  const table = currentTable(pipeline);
  const wanted = tableSql(shape);
  const found = await noted(db, `current$${pipeline}`);
  if (found === wanted) return;
  const make = `CREATE TABLE ${table} ${wanted}; COMMENT ON TABLE ${table} IS ${sqlText(wanted)};`;
  if (found !== undefined && keyOf(found) === keyOf(wanted)) {
    const columns = columnsSql(shape);
    const own = ["id", "key", "record", "first", "changed", "seen"];
    await db.script(
      `CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT ${own.join(", ")} FROM ${table};
       DROP TABLE ${table} CASCADE;
       ${make}
       INSERT INTO ${table} (${[...own, ...columns.map(({ name }) => name)].join(", ")})
       SELECT ${[...own.map((name) => `k.${name}`), ...columns.map(({ value }) => value)].join(", ")}
       FROM kept AS k JOIN ${baseTable("processed", pipeline)} AS p ON p.id = k.record ${parsed("p.json")};
       SELECT setval(pg_get_serial_sequence(${
        sqlText(table)
      }, 'id'), (SELECT coalesce(max(id), 1) FROM ${table}));
       DROP TABLE kept`,
    );
  } else {
    await db.script(
      `DROP TABLE IF EXISTS ${table} CASCADE; DROP TABLE IF EXISTS ${
        changesTable(pipeline)
      } CASCADE; ${make}`,
    );
    await db.run("DELETE FROM run_moves WHERE pipeline = $1", pipeline);
  }
}

const SQL_TYPES = { INTEGER: "NUMERIC", REAL: "DOUBLE PRECISION", TEXT: `TEXT COLLATE "C"` } as const;

/**
 * `key` is what `etl_key` makes of it. `record` is the processed record that holds the text, `first`, `changed` and `seen` are run_moves; `seen` is
 * NULL where the newest complete run holds the key, so that a run needn't write what it found unchanged.
 */
function tableSql(shape: CurrentShape): string {
  const columns = shape.columns.map(({ keys, type }, n) =>
    `c${n} ${SQL_TYPES[type]} /* ${commented(keys)} */`
  );
  return `(id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, key TEXT COLLATE "C" NOT NULL UNIQUE /* ${
    commented(shape.key)
  } */, ` +
    [
      "key_order NUMERIC GENERATED ALWAYS AS (etl_key_order(key)) STORED",
      "record BIGINT NOT NULL",
      "first BIGINT NOT NULL",
      "changed BIGINT NOT NULL",
      "seen BIGINT",
      ...columns,
    ].join(", ") + ")";
}

/** The part of a table's text that says which key it is for. */
function keyOf(sql: string): string {
  return sql.slice(0, sql.indexOf("*/"));
}

function commented(keys: readonly string[]): string {
  return keys.join(".").replaceAll("*/", "* /").replaceAll("/*", "/ *");
}

/** What of a text is in an index, as SQL; what LIKE compares without regard to case, too. */
export function indexedText(column: string): { exact: string; folded: string } {
  const exact = `left(${column}, ${INDEXED_CHARACTERS})`;
  return { exact, folded: `lower(${exact})` };
}

async function refreshIndexes(db: Session, pipeline: string, shape: CurrentShape): Promise<void> {
  const table = currentTable(pipeline);
  const named = (what: string) => `current$${pipeline} ${what}`;
  const wanted = new Map([[named("key"), "key_order, key"], [named("record"), "record"]]);
  shape.columns.forEach(({ keys, type }, n) => {
    if (!shape.index.includes(keys.join("."))) return;
    const { exact, folded } = indexedText(`c${n}`);
    wanted.set(named(`c${n}`), `${type === "TEXT" ? exact : `c${n}`}, key_order, key`);
    if (type === "TEXT") wanted.set(named(`c${n} nocase`), `${folded}, key_order, key`);
  });
  const found = await db.all<{ name: string; on: string | null }>(
    `SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS on FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = to_regclass($1) AND NOT i.indisunique`,
    table,
  );
  for (const { name, on } of found) {
    if (wanted.get(name) === on) wanted.delete(name);
    else await db.script(`DROP INDEX ${sqlName(name)}`);
  }
  for (const [name, on] of wanted) {
    await db.script(
      `CREATE INDEX ${sqlName(name)} ON ${table} (${on}); COMMENT ON INDEX ${sqlName(name)} IS ${
        sqlText(on)
      }`,
    );
  }
}

/** What the view `NAME` shows. */
function currentSelect(shown: Shown, shape: CurrentShape, fields: readonly string[]): string {
  const mask = shown.masks.processed;
  const own = new Map<string, string>([[shape.key.join("."), keyShown(shape)]]);
  shape.columns.forEach(({ keys }, n) => own.set(keys.join("."), `c.c${n}`));
  const taken = new Set([...CURRENT_META, ...shown.added]);
  const top = [...fields.filter((key) => !shown.added.includes(key)), ...shown.added].map((key) => {
    const column = mask.has(key) ? undefined : own.get(key);
    const name = shown.added.includes(key) ? key : columnName(key, taken);
    return { name, value: column ?? valueSql(key, mask.get(key), "x.v", undefined) };
  });
  const nested = [{ keys: shape.key }, ...shape.columns].flatMap(({ keys }: Pick<CurrentColumn, "keys">) => {
    if (keys.length === 1 || hides(mask, keys)) return [];
    const field = keys.join(".");
    return [{ name: columnName(field, taken), value: own.get(field)! }];
  });
  const columns = [...top, ...nested].map(({ name, value }) => `${value} AS ${sqlName(name)}`);
  const meta = [
    `${ofMove("run_id", "c.first")} AS first_run`,
    `${ofMove("run_id", "c.changed")} AS changed_run`,
    `${ofMove("run_id", `coalesce(c.seen, ${newestComplete(shown.name)})`)} AS seen_run`,
    `${ofMove("at", "c.changed")} AS changed_at`,
  ];
  return `SELECT ${[...columns, ...meta].join(", ")} FROM ${currentTable(shown.name)} AS c LEFT JOIN ${
    baseTable("processed", shown.name)
  } AS p ON p.id = c.record ${parsed("p.json")}`;
}

/** A key as text, of a row of `table`. */
export function keyText(table: string): string {
  return `ltrim(left(${table}.key, 1), '''') || substr(${table}.key, 2)`;
}

/** A key as people see it, of a row of `table`. */
function keyShown({ keyType }: CurrentShape, table = "c"): string {
  return keyType === undefined || keyType === "TEXT" ? keyText(table) : `${table}.key_order`;
}

/** What the view `NAME_changes` shows, of rows `x` of the table of changes. */
function changesSelect({ name, masks }: Shown, shape: CurrentShape): string {
  const shownKey = hides(masks.processed, shape.key) ? sqlText(MASKED) : keyShown(shape, "x");
  return `SELECT ${shownKey} AS key, x.change AS change, m.run_id AS run_id, m.at AS at, ${
    fieldsSql(masks.processed)
  } AS fields
FROM ${changesTable(name)} AS x JOIN run_moves AS m ON m.id = x.move`;
}

/** As `shownPaths`: the paths of fields that changed, cut where the mask hides what is below. */
function fieldsSql(mask: Mask): string {
  const hidden = wholeOf(mask).map((path) =>
    `WHEN starts_with(f, ${sqlText(`${path}.`)}) THEN ${sqlText(path)}`
  );
  if (hidden.length === 0) return "x.fields";
  return `CASE WHEN x.fields IS NOT NULL THEN (SELECT json_agg(DISTINCT CASE ${
    hidden.join(" ")
  } ELSE f END)::text FROM json_array_elements_text(x.fields::json) AS f) END`;
}

function wholeOf(mask: Mask): string[] {
  return [...mask].flatMap(([key, rule]) =>
    rule === "whole" ? [key] : wholeOf(rule).map((below) => `${key}.${below}`)
  );
}
