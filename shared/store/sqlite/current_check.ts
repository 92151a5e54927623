/**
 * Whether the current state is what the kept runs say: each row against its record, and against the newest run that holds its key.
 *
 * @module
 */
import type { Database } from "../../sqlite/database.ts";
import type { CurrentShape } from "../current_shape.ts";
import { columnsSql } from "./current_table.ts";
import { keySql } from "./record_sql.ts";
import { baseTable, currentTable, fromRecords, HOLDER, idsOf, TEXT } from "../sql/tables.ts";

/** A run that moved the current state and whose records are kept. */
interface KeptMove {
  readonly id: number;
  readonly run_id: string;
  readonly complete: 0 | 1;
  /** The ids of its files. */
  readonly processed: number;
  readonly invalid: number;
}

/** What is wrong with the current state of a pipeline; in words, without anything of a record. */
export function problemsOfCurrent(db: Database, pipeline: string, shape: CurrentShape): string[] {
  const current = currentTable(pipeline);
  const problems: string[] = [];
  const look = (problem: string, sql: string, ...values: (string | number)[]) => {
    const { n } = db.get<{ n: number }>(`SELECT count(*) AS n ${sql}`, ...values)!;
    if (n > 0) problems.push(`${n} ${n === 1 ? "key" : "keys"} ${problem}`);
  };
  const other = [`c.key IS NOT ${keySql(shape.key, "p.json")}`]
    .concat(columnsSql(shape, "p.json").map(({ name, value }) => `c.${name} IS NOT ${value}`));
  look(
    "whose values aren't those of their record",
    `FROM ${current} AS c LEFT JOIN ${baseTable("processed", pipeline)} AS p ON p.id = c.record
     WHERE CASE WHEN p.id IS NULL THEN 1 ELSE ${other.join(" OR ")} END`,
  );
  const moves = db.all<KeptMove>(
    `SELECT m.id, m.run_id, m.complete, p.id AS processed, i.id AS invalid FROM run_moves AS m
     JOIN run_files AS p ON p.run_id = m.run_id AND p.kind = 'processed' AND p.trimmed_at IS NULL
     JOIN run_files AS i ON i.run_id = m.run_id AND i.kind = 'invalid'
     WHERE m.pipeline = ? ORDER BY m.place DESC`,
    pipeline,
  );
  const newest = moves.find(({ complete }) => complete === 1);
  for (const move of moves) {
    // of a complete run that isn't the newest a row says so, as of any other
    const seen = move === newest ? `(c.seen IS NULL OR c.seen = ${move.id})` : `c.seen = ${move.id}`;
    look(
      `with another record than run ${move.run_id}, the newest that holds them`,
      `FROM ${current} AS c WHERE ${seen} AND NOT EXISTS (
         SELECT 1 FROM ${held(pipeline, shape)} AS h JOIN ${
        baseTable("processed", pipeline)
      } AS a ON a.id = h.record
           JOIN ${baseTable("processed", pipeline)} AS b ON b.id = c.record
         WHERE h.key = c.key AND a.json = b.json)`,
      ...idsOf(move.processed),
    );
  }
  if (newest === undefined) return problems;
  look(
    `of run ${newest.run_id}, the newest complete one, that aren't there`,
    `FROM ${held(pipeline, shape)} AS h WHERE NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = h.key)`,
    ...idsOf(newest.processed),
  );
  look(
    `that run ${newest.run_id}, the newest complete one, doesn't hold`,
    `FROM ${current} AS c WHERE (SELECT m.place FROM run_moves AS m WHERE m.id = c.seen) <
         (SELECT m.place FROM run_moves AS m WHERE m.id = ?1)
       AND c.key NOT IN (SELECT key FROM (SELECT ${keySql(shape.key, TEXT)} AS key FROM ${
      fromRecords("invalid", pipeline)
    } WHERE r.id BETWEEN ?2 AND ?3) WHERE key IS NOT NULL)`,
    newest.id,
    ...idsOf(newest.invalid),
  );
  return problems;
}

/** The keys of a processed file, each with the last record that has it. */
function held(pipeline: string, { key }: CurrentShape): string {
  return `(SELECT key, record, max(line) FROM (SELECT ${
    keySql(key, TEXT)
  } AS key, ${HOLDER} AS record, r.id AS line
    FROM ${
    fromRecords("processed", pipeline)
  } WHERE r.id BETWEEN ?1 AND ?2) WHERE key IS NOT NULL GROUP BY key)`;
}
