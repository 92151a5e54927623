/**
 * The tables behind `NAME` and `NAME_changes`, and these views. A row of `current$NAME` holds the fields that people count and search by; all others
 * are read from the processed record that it refers to.
 */
import { type Database, sqlName, sqlText } from "../../sqlite/database.ts";
import type { CurrentShape } from "../current_shape.ts";
import { hides, type Mask, MASKED } from "../mask.ts";
import type { PlainColumn } from "./plain_rows.ts";
import { fieldSql, valueSql } from "./record_sql.ts";
import type { Shown } from "../shown.ts";
import { columnName, refreshView } from "./view_sql.ts";
import { baseTable, changesTable, currentTable, wholeOf } from "../sql/tables.ts";
import { currentColumns, currentMeta } from "../sql/columns.ts";

/** The name of each column that the definition requires, and its value in the text of a processed record. */
export function columnsSql({ columns }: CurrentShape, text: string): { name: string; value: string }[] {
  return columns.map((column, n) => ({ name: `c${n}`, value: fieldSql(column, text) }));
}

/** Creates the tables and views of a pipeline's current state, or rebuilds them if its definition has changed. Must run in a write transaction. */
export function refreshCurrent(db: Database, shown: Shown, fields: readonly string[]): void {
  const { name, current: shape } = shown;
  if (shape === null) {
    db.script(`DROP VIEW IF EXISTS ${name}; DROP VIEW IF EXISTS ${name}_changes`);
    return;
  }
  refreshTable(db, name, shape);
  refreshIndexes(db, name, shape);
  db.script(
    `CREATE TABLE IF NOT EXISTS ${changesTable(name)} (
      move INTEGER NOT NULL, key NOT NULL, change TEXT NOT NULL, fields TEXT, before INTEGER, after INTEGER, PRIMARY KEY (move, key)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS ${sqlName(`changes$${name} by key`)} ON ${changesTable(name)} (key, move)`,
  );
  refreshView(db, name, `CREATE VIEW ${name} AS ${currentSelect(shown, shape, fields)}`);
  refreshView(db, `${name}_changes`, `CREATE VIEW ${name}_changes AS ${changesSelect(shown, shape)}`);
}

/** If the fields have changed, the new table is filled from the records; if the key has changed, it starts empty, and `fillCurrent` fills it. */
function refreshTable(db: Database, pipeline: string, shape: CurrentShape): void {
  const table = currentTable(pipeline);
  const wanted = tableSql(table, shape);
  const found = db.get<{ sql: string }>(
    "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?",
    `current$${pipeline}`,
  )?.sql;
  if (found === wanted) return;
  if (found?.startsWith(keyNote(shape), found.indexOf("/*"))) {
    const columns = columnsSql(shape, "p.json");
    const own = "id, key, record, first, changed, seen";
    db.script(
      `CREATE TEMP TABLE kept AS SELECT ${own} FROM ${table};
       DROP TABLE ${table};
       ${wanted};
       INSERT INTO ${table} (${[own, ...columns.map(({ name }) => name)].join(", ")})
       SELECT k.id, ${
        ["k.key", "k.record", "k.first", "k.changed", "k.seen", ...columns.map(({ value }) => value)].join(
          ", ",
        )
      }
       FROM temp.kept AS k JOIN ${baseTable("processed", pipeline)} AS p ON p.id = k.record;
       DROP TABLE temp.kept`,
    );
  } else {
    db.script(`DROP TABLE IF EXISTS ${table}; DROP TABLE IF EXISTS ${changesTable(pipeline)}; ${wanted}`);
    db.run("DELETE FROM run_moves WHERE pipeline = ?", pipeline);
  }
}

/**
 * `record` is the processed record that holds the text. `first`, `changed` and `seen` are ids of run_moves. `seen` is NULL if the newest complete run
 * holds the key, so that a run needn't write unchanged rows. Columns of whole numbers have no type, as those of more than 64 bits are text.
 */
function tableSql(table: string, shape: CurrentShape): string {
  const columns = shape.columns.map(({ keys, type }, n) =>
    `c${n}${type === "INTEGER" ? "" : ` ${type}`} /* ${commented(keys)} */`
  );
  return `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, key NOT NULL UNIQUE ${
    keyNote(shape)
  }, record INTEGER NOT NULL, ` +
    `first INTEGER NOT NULL, changed INTEGER NOT NULL, seen INTEGER${
      columns.map((column) => `, ${column}`).join("")
    })`;
}

function keyNote({ key }: CurrentShape): string {
  return `/* ${commented(key)} */`;
}

function commented(keys: readonly string[]): string {
  return keys.join(".").replaceAll("*/", "* /");
}

function refreshIndexes(db: Database, pipeline: string, { columns, index }: CurrentShape): void {
  const table = currentTable(pipeline);
  const taken = new Set<string>();
  const named = (what: string) => columnName(`current$${pipeline} by ${what}`, taken);
  const wanted = new Map([[named("record"), "record"]]);
  columns.forEach(({ keys, type }, n) => {
    const field = keys.join(".");
    if (!index.includes(field)) return;
    wanted.set(named(field), `c${n}, key`);
    // the collation that LIKE uses
    if (type === "TEXT") wanted.set(named(`${field} nocase`), `c${n} COLLATE NOCASE, key`);
  });
  const found = db.all<{ name: string; sql: string }>(
    "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
    `current$${pipeline}`,
  );
  const sqlOf = (name: string, on: string) => `CREATE INDEX ${sqlName(name)} ON ${table} (${on})`;
  for (const { name, sql } of found) {
    const on = wanted.get(name);
    if (on !== undefined && sql === sqlOf(name, on)) wanted.delete(name);
    else db.script(`DROP INDEX ${sqlName(name)}`);
  }
  for (const [name, on] of wanted) db.script(sqlOf(name, on));
}

/** The columns of the view `NAME`, for rows `c` of the current table. Keys without a column there are read from the record. */
export function shownColumns(shown: Shown, shape: CurrentShape, fields: readonly string[]): PlainColumn[] {
  return [
    ...currentColumns(shown, shape, fields, columnName).map(({ name, keys, column }) =>
      column === undefined ? { name, key: keys[0]! } : { name, sql: column }
    ),
    ...currentMeta(shown.name),
  ];
}

/** Not a join: in a query that groups, SQLite executes a join even if nothing of it is selected. */
function fromRecord({ name, masks }: Shown, key: string): string {
  return `(SELECT ${valueSql(key, masks.processed.get(key), "p.json")} FROM ${
    baseTable("processed", name)
  } AS p WHERE p.id = c.record)`;
}

/** The SELECT of the view `NAME`, for rows `c` of the current table; `first` precedes its columns. */
export function currentSelect(
  shown: Shown,
  shape: CurrentShape,
  fields: readonly string[],
  first = "",
): string {
  const columns = shownColumns(shown, shape, fields).map((column) =>
    `${"sql" in column ? column.sql : fromRecord(shown, column.key)} AS ${sqlName(column.name)}`
  );
  return `SELECT
  ${first}${columns.join(",\n  ")}
FROM ${currentTable(shown.name)} AS c`;
}

/** The SELECT of the view `NAME_changes`, for rows `x` of the table of changes. */
export function changesSelect({ name, masks }: Shown, { key }: CurrentShape): string {
  const shownKey = hides(masks.processed, key) ? sqlText(MASKED) : "x.key";
  return `SELECT ${shownKey} AS key, x.change AS change, m.run_id AS run_id, m.at AS at, ${
    fieldsSql(masks.processed)
  } AS fields
FROM ${changesTable(name)} AS x JOIN run_moves AS m ON m.id = x.move`;
}

/** Like `shownPaths`: the paths of changed fields, shortened to the masked object that contains them. */
function fieldsSql(mask: Mask): string {
  const hidden = wholeOf(mask).map(sqlText).map((path) =>
    `WHEN substr(value, 1, length(${path}) + 1) = ${path} || '.' THEN ${path}`
  );
  if (hidden.length === 0) return "x.fields";
  return `iif(x.fields IS NULL, NULL, (SELECT json_group_array(DISTINCT CASE ${
    hidden.join(" ")
  } ELSE value END) FROM json_each(x.fields)))`;
}
