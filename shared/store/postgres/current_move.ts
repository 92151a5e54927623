/** Applies a run to the current state of its pipeline. Like `sqlite/current_move.ts`, but with sets of keys instead of references to records. */
import { changedFields } from "../changed_fields.ts";
import {
  beginMove,
  endMove,
  type IdRange,
  type Move,
  type MovingRun,
  rangeOf,
  seenNow,
} from "../sql/moves.ts";
import { isAfter, newerComplete } from "../sql/place.ts";
import { baseTable } from "../sql/tables.ts";
import { columnsSql } from "./current_table.ts";
import { parsed } from "./record_sql.ts";
import type { Session } from "./session.ts";

/** Records per statement, so that each ends well within its time limit. */
const ROWS_AT_ONCE = 20_000;

/** Changed records per comparison; each is in memory twice. */
const COMPARED_AT_ONCE = 500;

/** A run that is being applied to the current state. */
interface PostgresMove extends Move {
  readonly session: Session;
  /** The columns that the definition requires. */
  readonly columns: readonly { readonly name: string; readonly value: string }[];
  /** Calls `step` for each part of a range of ids. */
  readonly inSteps: (range: IdRange, step: (...part: IdRange) => Promise<unknown>) => Promise<void>;
}

/**
 * Applies a loaded run to the current state, in the transaction of `session`, which must hold the lock of the pipeline; repeating it changes nothing.
 * Of two records with the same key in one run, the later one counts. A key that the run holds only as an invalid record keeps its last valid record.
 */
export async function moveCurrent(
  session: Session,
  run: MovingRun,
  signal: AbortSignal | undefined,
): Promise<void> {
  const begun = await beginMove(session, run, "(completeness::jsonb ->> 'missing')::numeric = 0");
  if (begun === undefined) return;
  const move: PostgresMove = {
    ...begun,
    session,
    columns: columnsSql(begun.shape),
    async inSteps([first, last], step) {
      for (let at = first; at <= last; at += ROWS_AT_ONCE) {
        signal?.throwIfAborted();
        await step(at, Math.min(last, at + ROWS_AT_ONCE - 1));
      }
    },
  };
  await session.script(
    `CREATE TEMP TABLE etl_held ON COMMIT DROP AS SELECT ${namesOf(move)} FROM ${move.current} WITH NO DATA;
     ALTER TABLE etl_held ADD PRIMARY KEY (key);
     CREATE TEMP TABLE etl_news (key TEXT COLLATE "C" PRIMARY KEY, record BIGINT NOT NULL) ON COMMIT DROP`,
  );
  await findNews(move);
  if (move.place.isOvertaken) await dropOvertaken(move);
  await change(move, signal);
  await add(move);
  await see(move);
  if (move.isComplete) await remove(move, await rangeOf(session, run.runId, "invalid", run.pipeline));
  await endMove(session, move);
  await session.script("DROP TABLE etl_held, etl_news"); // this transaction may apply another run
}

/** The columns of `etl_held`: a key, its record, and the columns that the definition requires. */
function namesOf({ columns }: PostgresMove, prefix = ""): string {
  return ["key", "record", ...columns.map(({ name }) => name)].map((name) => `${prefix}${name}`).join(", ");
}

/**
 * Collects the record that the run holds for each key (`etl_held`), with its columns, so each record is parsed only once. Collects those whose text
 * differs from the current record (`etl_news`).
 */
async function findNews(move: PostgresMove): Promise<void> {
  const { session, shape, columns, current, processed } = move;
  const values = columns.map(({ name, value }) => `, ${value} AS ${name}`).join("");
  await move.inSteps(move.range, (first, last) =>
    session.run(
      // OFFSET 0 prevents the planner from evaluating the key a second time for the condition
      `INSERT INTO etl_held (${namesOf(move)}) SELECT DISTINCT ON (key) ${namesOf(move)}
       FROM (SELECT etl_key(x.v, $1::text[]) AS key, p.id AS record${values}
         FROM ${processed} AS p ${parsed("p.json")} WHERE p.id BETWEEN $2 AND $3 OFFSET 0) AS r
       WHERE key IS NOT NULL ORDER BY key, record DESC
       ON CONFLICT (key) DO UPDATE SET (${namesOf(move)}) = ROW (${namesOf(move, "excluded.")})`,
      shape.key,
      first,
      last,
    ));
  await session.script("CREATE INDEX ON etl_held (record); ANALYZE etl_held");
  await move.inSteps(move.range, (first, last) =>
    session.run(
      `INSERT INTO etl_news (key, record) SELECT h.key, h.record FROM etl_held AS h
         JOIN ${processed} AS b ON b.id = h.record
         LEFT JOIN (${current} AS c JOIN ${processed} AS a ON a.id = c.record) ON c.key = h.key
       WHERE h.record BETWEEN $1 AND $2 AND a.json IS DISTINCT FROM b.json`,
      first,
      last,
    ));
  await session.script("CREATE INDEX ON etl_news (record); ANALYZE etl_news");
}

/** Drops keys that a newer run decides: it holds the key, or it is complete and lacks the key even among its invalid records. */
async function dropOvertaken({ session, shape, pipeline, current, place }: PostgresMove): Promise<void> {
  await session.run(
    `DELETE FROM etl_news AS n WHERE EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = n.key AND ${
      isAfter(place, "c.seen", "$1")
    })`,
    place.text,
  );
  for (const runId of await newerComplete(session, pipeline, place)) {
    const [first, last] = await rangeOf(session, runId, "invalid", pipeline) ?? [1, 0];
    await session.run(
      `DELETE FROM etl_news AS n WHERE NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = n.key)
         AND NOT EXISTS (${invalidKeys(pipeline)} AND k.key = n.key)`,
      shape.key,
      first,
      last,
    );
  }
}

/** SQL for the keys of invalid records. The key's path is bound to $1, the range of their ids to $2 and $3. */
function invalidKeys(pipeline: string): string {
  return `SELECT k.key FROM (SELECT etl_key(etl_record(json), $1::text[]) AS key FROM ${
    baseTable("invalid", pipeline)
  } WHERE id BETWEEN $2 AND $3) AS k WHERE k.key IS NOT NULL`;
}

/** Existing keys with another text. A record with other text but equal values isn't a change. */
async function change(move: PostgresMove, signal: AbortSignal | undefined): Promise<void> {
  const { session, columns, current, changes, processed, id } = move;
  const assigned = columns.map(({ name }) => `, ${name} = h.${name}`).join("");
  for (let after = "";;) {
    signal?.throwIfAborted();
    const rows = await session.all<{ key: string; before: string; after: string }>(
      `SELECT n.key, a.json AS before, b.json AS after
       FROM etl_news AS n JOIN ${current} AS c ON c.key = n.key
         JOIN ${processed} AS a ON a.id = c.record JOIN ${processed} AS b ON b.id = n.record
       WHERE n.key > $1 ORDER BY n.key LIMIT ${COMPARED_AT_ONCE}`,
      after,
    );
    const differing = rows.map(({ key, before, after }) => ({ key, fields: changedFields(before, after) }))
      .filter(({ fields }) => fields.length > 0);
    await session.run(
      `INSERT INTO ${changes} (move, key, change, fields, before, after)
       SELECT $1, n.key, 'changed', f.fields, c.record, n.record
       FROM unnest($2::text[], $3::text[]) AS f (key, fields)
         JOIN etl_news AS n ON n.key = f.key JOIN ${current} AS c ON c.key = n.key`,
      id,
      differing.map(({ key }) => key),
      differing.map(({ fields }) => JSON.stringify(fields)),
    );
    await session.run(
      `UPDATE ${current} AS c SET record = h.record, changed = CASE WHEN c.key = ANY ($2::text[]) THEN $1 ELSE c.changed END${assigned}
       FROM etl_held AS h WHERE h.key = ANY ($3::text[]) AND c.key = h.key`,
      id,
      differing.map(({ key }) => key),
      rows.map(({ key }) => key),
    );
    if (rows.length < COMPARED_AT_ONCE) return;
    after = rows.at(-1)!.key;
  }
}

/** Keys that don't exist yet. A key with earlier changes was removed before, so it is restored. */
async function add(move: PostgresMove): Promise<void> {
  const { session, current, changes, id } = move;
  await move.inSteps(move.range, (first, last) =>
    session.run(
      `WITH fresh AS MATERIALIZED (
         SELECT ${namesOf(move, "h.")} FROM etl_news AS n JOIN etl_held AS h ON h.key = n.key
         WHERE n.record BETWEEN $2 AND $3 AND h.record BETWEEN $2 AND $3
           AND NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = n.key)
       ), logged AS (
         INSERT INTO ${changes} (move, key, change, after)
         SELECT $1, f.key, CASE WHEN EXISTS (SELECT 1 FROM ${changes} AS x WHERE x.key = f.key) THEN 'restored' ELSE 'added' END,
           f.record FROM fresh AS f
       )
       INSERT INTO ${current} (${namesOf(move)}, first, changed, seen) SELECT ${
        namesOf(move)
      }, $1, $1, $4 FROM fresh`,
      id,
      first,
      last,
      seenNow(move),
    ));
}

/** Stores that the run is the newest one that holds a key. */
async function see(move: PostgresMove): Promise<void> {
  const { session, current, place } = move;
  await move.inSteps(move.range, (first, last) =>
    session.run(
      `UPDATE ${current} AS c SET seen = $1 FROM etl_held AS h
       WHERE h.record BETWEEN $2 AND $3 AND c.key = h.key AND c.seen IS DISTINCT FROM $1 AND NOT ${
        isAfter(place, "c.seen", "$4")
      }`,
      seenNow(move),
      first,
      last,
      place.text,
    ));
}

/** Removes keys that a complete run doesn't hold. Those that it holds only as invalid records stay, last seen in an earlier run. */
async function remove(move: PostgresMove, [first, last]: IdRange = [1, 0]): Promise<void> {
  const { session, shape, pipeline, current, changes, place, id, isNewest } = move;
  await session.script(
    `CREATE TEMP TABLE etl_unseen (key TEXT COLLATE "C" PRIMARY KEY, is_bad BOOLEAN NOT NULL) ON COMMIT DROP`,
  );
  await session.run(
    `INSERT INTO etl_unseen SELECT c.key, false FROM ${current} AS c
     WHERE NOT EXISTS (SELECT 1 FROM etl_held AS h WHERE h.key = c.key) AND NOT ${
      isAfter(place, "c.seen", "$1")
    }`,
    place.text,
  );
  await move.inSteps([first, last], (first, last) =>
    session.run(
      `UPDATE etl_unseen SET is_bad = true WHERE key IN (${invalidKeys(pipeline)})`,
      shape.key,
      first,
      last,
    ));
  if (isNewest) {
    await session.run(
      `UPDATE ${current} AS c SET seen = $1 FROM etl_unseen AS u WHERE u.is_bad AND c.key = u.key AND c.seen IS NULL`,
      place.completeBefore,
    );
  }
  await session.run(
    `WITH gone AS (DELETE FROM ${current} AS c USING etl_unseen AS u WHERE NOT u.is_bad AND c.key = u.key RETURNING c.key, c.record)
     INSERT INTO ${changes} (move, key, change, before) SELECT $1, key, 'removed', record FROM gone`,
    id,
  );
  await session.script("DROP TABLE etl_unseen");
}
