/** Checks the current state against the kept runs, in PostgreSQL. */
import type { CurrentShape } from "../current_shape.ts";
import { problemsOf } from "../sql/current_check.ts";
import { baseTable } from "../sql/tables.ts";
import { columnsSql } from "./current_table.ts";
import { parsed, pathSql } from "./record_sql.ts";
import type { Session } from "./session.ts";

/** The differences found in the current state of a pipeline, as sentences without record data. */
export function problemsOfCurrent(
  session: Session,
  pipeline: string,
  shape: CurrentShape,
): Promise<string[]> {
  const key = pathSql(shape.key);
  const processed = baseTable("processed", pipeline);
  const columns = [{ name: "key", value: `etl_key(x.v, ${key})` }, ...columnsSql(shape)];
  return problemsOf(session, pipeline, {
    joined: `LEFT JOIN ${processed} AS p ON p.id = c.record ${parsed("p.json")}`,
    isOther: columns.map(({ name, value }) => `c.${name} IS DISTINCT FROM ${value}`).join(" OR "),
    held: `SELECT DISTINCT ON (key) key, id AS record
      FROM (SELECT etl_key(etl_record(json), ${key}) AS key, id FROM ${processed} WHERE id BETWEEN $1 AND $2) AS r
      WHERE key IS NOT NULL ORDER BY key, id DESC`,
    isInvalid: `EXISTS (SELECT 1 FROM ${baseTable("invalid", pipeline)} AS i
      WHERE i.id BETWEEN $2 AND $3 AND etl_key(etl_record(i.json), ${key}) = c.key)`,
  });
}
