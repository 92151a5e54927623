/** Checks the current state against the kept runs, in SQLite. */
import type { Database } from "../../sqlite/database.ts";
import type { CurrentShape } from "../current_shape.ts";
import { problemsOf } from "../sql/current_check.ts";
import { baseTable, fromRecords, HOLDER, TEXT } from "../sql/tables.ts";
import { columnsSql } from "./current_table.ts";
import { keySql } from "./record_sql.ts";
import { sqlOf } from "./statements.ts";

/** The differences found in the current state of a pipeline, as sentences without record data. */
export function problemsOfCurrent(db: Database, pipeline: string, shape: CurrentShape): Promise<string[]> {
  const key = keySql(shape.key, TEXT);
  const columns = [
    { name: "key", value: keySql(shape.key, "p.json") },
    ...columnsSql(shape, "p.json"),
  ];
  return problemsOf(sqlOf(db), pipeline, {
    joined: `LEFT JOIN ${baseTable("processed", pipeline)} AS p ON p.id = c.record`,
    isOther: columns.map(({ name, value }) => `c.${name} IS NOT ${value}`).join(" OR "),
    held: `SELECT key, record, max(line) FROM (SELECT ${key} AS key, ${HOLDER} AS record, r.id AS line
      FROM ${
      fromRecords("processed", pipeline)
    } WHERE r.id BETWEEN $1 AND $2) WHERE key IS NOT NULL GROUP BY key`,
    isInvalid: `c.key IN (SELECT key FROM (SELECT ${key} AS key FROM ${
      fromRecords("invalid", pipeline)
    } WHERE r.id BETWEEN $2 AND $3) WHERE key IS NOT NULL)`,
  });
}
