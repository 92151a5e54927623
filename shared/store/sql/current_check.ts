/** Checks the current state against the kept runs: each row against its record, and against the newest run that holds its key. */
import type { Sql } from "./sql.ts";
import { baseTable, currentTable, idsOf } from "./tables.ts";

/** A run that was applied to the current state and whose records are kept. */
interface KeptMove {
  readonly id: number;
  readonly run_id: string;
  readonly complete: 0 | 1;
  /** The ids of its files. */
  readonly processed: number;
  readonly invalid: number;
}

/** The comparisons that differ between engines, as SQL over a row `c` of the current table. */
interface Comparisons {
  /** Joins the record of a row as `p`. */
  readonly joined: string;
  /** Whether the key or the columns of a row differ from its record. */
  readonly isOther: string;
  /** The keys of the records whose ids are between `$1` and `$2`, each with its last `record`, the one that holds the text. */
  readonly held: string;
  /** Whether an invalid record whose id is between `$2` and `$3` has the key of a row. */
  readonly isInvalid: string;
}

/** The differences found in the current state of a pipeline, as sentences without record data. */
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
    // `seen` is NULL only for the newest complete run; every other run is named
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
