/**
 * Whether the current state is what the kept runs say: each row against its record, and against the newest run that holds its key.
 *
 * @module
 */
import type { Sql } from "./sql.ts";
import { baseTable, currentTable, idsOf } from "./tables.ts";

/** A run that moved the current state and whose records are kept. */
interface KeptMove {
  readonly id: number;
  readonly run_id: string;
  readonly complete: 0 | 1;
  /** The ids of its files. */
  readonly processed: number;
  readonly invalid: number;
}

/** What each engine compares in its own way, as SQL over a row `c` of the current table. */
export interface Comparisons {
  /** Joins the record of a row as `p`. */
  readonly joined: string;
  /** Whether key or columns of a row aren't those of its record. */
  readonly isOther: string;
  /** The keys of the processed file whose records' ids are between `$1` and `$2`, each with the last `record` that has it, which holds its text. */
  readonly held: string;
  /** Whether an invalid record whose id is between `$2` and `$3` has the key of a row. */
  readonly isInvalid: string;
}

/** What is wrong with the current state of a pipeline; in words, without anything of a record. */
export async function problemsOf(
  sql: Sql,
  pipeline: string,
  { joined, isOther, held, isInvalid }: Comparisons,
): Promise<string[]> {
  const current = currentTable(pipeline);
  const processed = baseTable("processed", pipeline);
  const problems: string[] = [];
  const look = async (problem: string, found: string, ...values: number[]) => {
    const { n } = (await sql.get<{ n: number }>(`SELECT count(*) AS n ${found}`, ...values))!;
    if (n > 0) problems.push(`${n} ${n === 1 ? "key" : "keys"} ${problem}`);
  };
  await look(
    "whose values aren't those of their record",
    `FROM ${current} AS c ${joined} WHERE CASE WHEN p.id IS NULL THEN true ELSE ${isOther} END`,
  );
  const moves = await sql.all<KeptMove>(
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
         LEFT JOIN (${held}) AS h ON h.key = c.key LEFT JOIN ${processed} AS a ON a.id = h.record
       WHERE ${seen} AND (a.json IS NULL OR a.json <> b.json)`,
      ...idsOf(move.processed),
    );
  }
  if (newest === undefined) return problems;
  await look(
    `of run ${newest.run_id}, the newest complete one, that aren't there`,
    `FROM (${held}) AS h WHERE NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = h.key)`,
    ...idsOf(newest.processed),
  );
  await look(
    `that run ${newest.run_id}, the newest complete one, doesn't hold`,
    `FROM ${current} AS c WHERE (SELECT m.place FROM run_moves AS m WHERE m.id = c.seen) <
       (SELECT m.place FROM run_moves AS m WHERE m.id = CAST($1 AS BIGINT)) AND NOT ${isInvalid}`,
    newest.id,
    ...idsOf(newest.invalid),
  );
  return problems;
}
