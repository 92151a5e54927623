/**
 * Whether the current state is what the kept runs say: each row against its record, and against the newest run that holds its key.
 *
 * @module
 */
import type { CurrentShape } from "../current_shape.ts";
import { columnsSql } from "./current_table.ts";
import { parsed, pathSql } from "./record_sql.ts";
import type { Session } from "./session.ts";
import { baseTable, currentTable, idsOf } from "../sql/tables.ts";

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
export async function problemsOfCurrent(
  session: Session,
  pipeline: string,
  shape: CurrentShape,
): Promise<string[]> {
  const current = currentTable(pipeline);
  const processed = baseTable("processed", pipeline);
  const problems: string[] = [];
  const look = async (problem: string, sql: string, ...values: number[]) => {
    const { n } = (await session.get<{ n: number }>(`SELECT count(*) AS n ${sql}`, ...values))!;
    if (n > 0) problems.push(`${n} ${n === 1 ? "key" : "keys"} ${problem}`);
  };
  const other = [`c.key IS DISTINCT FROM etl_key(x.v, ${pathSql(shape.key)})`]
    .concat(columnsSql(shape).map(({ name, value }) => `c.${name} IS DISTINCT FROM ${value}`));
  await look(
    "whose values aren't those of their record",
    `FROM ${current} AS c LEFT JOIN ${processed} AS p ON p.id = c.record ${parsed("p.json")}
     WHERE p.id IS NULL OR ${other.join(" OR ")}`,
  );
  const moves = await session.all<KeptMove>(
    `SELECT m.id, m.run_id, m.complete, p.id AS processed, i.id AS invalid FROM run_moves AS m
     JOIN run_files AS p ON p.run_id = m.run_id AND p.kind = 'processed' AND p.trimmed_at IS NULL
     JOIN run_files AS i ON i.run_id = m.run_id AND i.kind = 'invalid'
     WHERE m.pipeline = $1 ORDER BY m.place DESC`,
    pipeline,
  );
  const newest = moves.find(({ complete }) => complete === 1);
  for (const move of moves) {
    // of a complete run that isn't the newest a row says so, as of any other
    const seen = move === newest ? `(c.seen IS NULL OR c.seen = ${move.id})` : `c.seen = ${move.id}`;
    await look(
      `with another record than run ${move.run_id}, the newest that holds them`,
      `FROM ${current} AS c JOIN ${processed} AS b ON b.id = c.record
         LEFT JOIN (${held(pipeline, shape)}) AS h ON h.key = c.key
       WHERE ${seen} AND h.json IS DISTINCT FROM b.json`,
      ...idsOf(move.processed),
    );
  }
  if (newest === undefined) return problems;
  await look(
    `of run ${newest.run_id}, the newest complete one, that aren't there`,
    `FROM (${
      held(pipeline, shape)
    }) AS h WHERE NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = h.key)`,
    ...idsOf(newest.processed),
  );
  await look(
    `that run ${newest.run_id}, the newest complete one, doesn't hold`,
    `FROM ${current} AS c WHERE (SELECT m.place FROM run_moves AS m WHERE m.id = c.seen) <
         (SELECT m.place FROM run_moves AS m WHERE m.id = $1::bigint)
       AND NOT EXISTS (SELECT 1 FROM ${baseTable("invalid", pipeline)} AS i
         WHERE i.id BETWEEN $2 AND $3 AND etl_key(etl_record(i.json), ${pathSql(shape.key)}) = c.key)`,
    newest.id,
    ...idsOf(newest.invalid),
  );
  return problems;
}

/** The keys of a processed file, each with the last text that has it; the range of its ids is bound to $1 and $2. */
function held(pipeline: string, { key }: CurrentShape): string {
  return `SELECT DISTINCT ON (key) key, json
    FROM (SELECT etl_key(etl_record(json), ${pathSql(key)}) AS key, json, id FROM ${
    baseTable("processed", pipeline)
  } WHERE id BETWEEN $1 AND $2) AS r WHERE key IS NOT NULL ORDER BY key, id DESC`;
}
