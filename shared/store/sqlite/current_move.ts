/**
 * Applies a run to the current state of its pipeline. The state is a fold over the loaded runs in the order of extraction, in whatever order they
 * were loaded.
 *
 * A run that changes little reads and writes little: its unchanged records refer to those of the run before.
 */
import type { Database } from "../../sqlite/database.ts";
import type { CurrentShape } from "../current_shape.ts";
import { changedFields } from "../changed_fields.ts";
import { columnsSql } from "./current_table.ts";
import { fieldSql, keySql } from "./record_sql.ts";
import { fromRecords, HOLDER, TEXT } from "../sql/tables.ts";
import { isAfter, newerComplete } from "../sql/place.ts";
import { sqlOf } from "./statements.ts";
import {
  beginMove,
  endMove,
  type IdRange,
  type Move,
  type MovingRun,
  rangeOf,
  seenNow,
} from "../sql/moves.ts";

/** Rows per statement, so that timers run during a long move. */
const ROWS_AT_ONCE = 5_000;

/** Changed records per comparison; each is in memory twice. */
const COMPARED_AT_ONCE = 200;

/** A run that is being applied to the current state. */
interface SqliteMove extends Move {
  readonly db: Database;
  /** Calls `step` for each part of a range of ids; timers run in between. */
  readonly inSteps: (range: IdRange, step: (...part: IdRange) => void) => Promise<void>;
}

/** Runs loaded by older versions have no completeness. */
const IS_WHOLE = `iif(completeness IS NULL,
  EXISTS (SELECT 1 FROM run_events WHERE run_id = run.run_id AND type = 'phase_completed' AND phase = 'EXTRACTING'),
  json_extract(completeness, '$.missing') = 0)`;

/**
 * Applies a loaded run to the current state, in the transaction of `db`; repeating it changes nothing. Of two records with the same key in one run,
 * the later one counts. A key that the run holds only as an invalid record keeps its last valid record.
 */
export async function moveCurrent(
  db: Database,
  run: MovingRun,
  breathe: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const sql = sqlOf(db);
  const begun = await beginMove(sql, run, IS_WHOLE);
  if (begun === undefined) return;
  const move: SqliteMove = {
    ...begun,
    db,
    async inSteps([first, last], step) {
      for (let at = first; at <= last; at += ROWS_AT_ONCE) {
        step(at, Math.min(last, at + ROWS_AT_ONCE - 1));
        await breathe();
      }
    },
  };
  const { place, current } = move;
  const isFirst = !place.isOvertaken && db.get(`SELECT 1 FROM ${current} LIMIT 1`) === undefined;
  if (isFirst) await addAll(move);
  else {
    db.script(
      `CREATE TEMP TABLE held (record INTEGER PRIMARY KEY, line INTEGER NOT NULL);
       CREATE TEMP TABLE news (line INTEGER PRIMARY KEY, key NOT NULL UNIQUE, record INTEGER NOT NULL)`,
    );
    await findNews(move);
    if (place.isOvertaken) await dropOvertaken(move);
    await change(move);
    await add(move);
    await see(move);
    if (move.isComplete) await remove(move, await rangeOf(sql, run.runId, "invalid", run.pipeline));
    db.script("DROP TABLE temp.held; DROP TABLE temp.news");
  }
  await endMove(sql, move);
}

/** Lets timers and other work run, so that a long transaction still renews its lease. */
export function breathing(signal: AbortSignal | undefined): () => Promise<void> {
  return async () => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
  };
}

/** Adds the first records of a pipeline, without any comparison. */
async function addAll(move: SqliteMove): Promise<void> {
  const { db, shape, pipeline, current, changes, id } = move;
  const columns = columnsSql(shape, TEXT);
  const names = columns.map(({ name }) => `, ${name}`).join("");
  await move.inSteps(move.range, (first, last) => {
    db.run(
      `INSERT OR IGNORE INTO ${current} (key, record, first, changed, seen${names})
       SELECT ${fieldSql({ keys: shape.key, type: "INTEGER" }, TEXT)}, ${HOLDER}, ?1, ?1, ?2${
        columns.map(({ value }) => `, ${value}`).join("")
      }
       FROM ${
        fromRecords("processed", pipeline)
      } WHERE r.id BETWEEN ?3 AND ?4 AND json_valid(${TEXT}) ORDER BY r.id
       ON CONFLICT (key) DO UPDATE SET record = excluded.record${
        columns.map(({ name }) => `, ${name} = excluded.${name}`).join("")
      }`,
      id,
      seenNow(move),
      first,
      last,
    );
  });
  db.run(
    `INSERT INTO ${changes} (move, key, change, after) SELECT ?1, c.key, ${
      kindOfNew(move)
    }, c.record FROM ${current} AS c`,
    id,
  );
}

/** A missing key that has earlier changes was removed before, so it is restored. */
function kindOfNew({ db, changes }: SqliteMove): string {
  if (db.get(`SELECT 1 FROM ${changes} LIMIT 1`) === undefined) return "'added'";
  return `iif(EXISTS (SELECT 1 FROM ${changes} AS x WHERE x.key = c.key), 'restored', 'added')`;
}

/** Collects the records that the run holds (`held`), and those of them that aren't current for their keys (`news`). */
async function findNews(move: SqliteMove): Promise<void> {
  const { db, shape, pipeline, current } = move;
  const from = fromRecords("processed", pipeline);
  await move.inSteps(move.range, (first, last) => {
    db.run(
      `INSERT OR REPLACE INTO temp.held (record, line) SELECT ${HOLDER}, r.id FROM ${move.processed} AS r WHERE r.id BETWEEN ? AND ? ORDER BY r.id`,
      first,
      last,
    );
    db.run(
      `INSERT OR REPLACE INTO temp.news (line, key, record)
       SELECT line, key, record FROM (
         SELECT r.id AS line, ${keySql(shape.key, TEXT)} AS key, ${HOLDER} AS record FROM ${from}
         WHERE r.id BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.record = ${HOLDER}))
       WHERE key IS NOT NULL ORDER BY line`,
      first,
      last,
    );
  });
  // the current record comes later in the run, so it counts
  db.run(
    `DELETE FROM temp.news WHERE EXISTS (SELECT 1 FROM ${current} AS c JOIN temp.held AS h ON h.record = c.record
       WHERE c.key = news.key AND h.line > news.line)`,
  );
  // the same text as the current record, stored a second time
  await move.inSteps(move.range, (first, last) => {
    const same = `FROM temp.news AS n JOIN ${current} AS c ON c.key = n.key
       JOIN ${move.processed} AS a ON a.id = c.record
       JOIN ${move.processed} AS b ON b.id = n.record
       WHERE n.line BETWEEN ? AND ? AND a.json = b.json`;
    db.run(`INSERT OR REPLACE INTO temp.held (record, line) SELECT c.record, n.line ${same}`, first, last);
    db.run(`DELETE FROM temp.news WHERE line IN (SELECT n.line ${same})`, first, last);
  });
}

/** Drops keys that a newer run decides: it holds the key, or it is complete and lacks the key even among its invalid records. */
async function dropOvertaken({ db, shape, pipeline, current, place }: SqliteMove): Promise<void> {
  db.run(
    `DELETE FROM temp.news WHERE EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = news.key AND ${
      isAfter(place, "c.seen", "?")
    })`,
    place.text,
  );
  for (const runId of await newerComplete(sqlOf(db), pipeline, place)) {
    const invalid = await rangeOf(sqlOf(db), runId, "invalid", pipeline) ?? [1, 0];
    db.run(
      `DELETE FROM temp.news WHERE NOT EXISTS (SELECT 1 FROM ${current} AS c WHERE c.key = news.key)
         AND key NOT IN (${invalidKeys(pipeline, shape)})`,
      ...invalid,
    );
    if (db.get("SELECT 1 FROM temp.news LIMIT 1") === undefined) return;
  }
}

function invalidKeys(pipeline: string, { key }: CurrentShape): string {
  return `SELECT key FROM (SELECT ${keySql(key, TEXT)} AS key FROM ${fromRecords("invalid", pipeline)}
    WHERE r.id BETWEEN ? AND ?) WHERE key IS NOT NULL`;
}

/** Existing keys with another record. A record with other text but equal values isn't a change. */
async function change(move: SqliteMove): Promise<void> {
  const [first, last] = move.range;
  const { db, shape, current, changes, id, processed: table } = move;
  const columns = columnsSql(shape, "p.json");
  const assigned = columns.map(({ name, value }) => `, ${name} = ${value}`).join("");
  for (let line = first - 1; line <= last;) {
    const rows = db.all<{ line: number; id: number; before: string; after: string }>(
      `SELECT n.line, c.id, a.json AS before, b.json AS after
       FROM temp.news AS n JOIN ${current} AS c ON c.key = n.key
         JOIN ${table} AS a ON a.id = c.record JOIN ${table} AS b ON b.id = n.record
       WHERE n.line > ? ORDER BY n.line LIMIT ${COMPARED_AT_ONCE}`,
      line,
    );
    for (const row of rows) {
      const fields = changedFields(row.before, row.after);
      if (fields.length > 0) {
        db.run(
          `INSERT INTO ${changes} (move, key, change, fields, before, after)
           SELECT ?1, c.key, 'changed', ?2, c.record, n.record FROM temp.news AS n JOIN ${current} AS c ON c.key = n.key WHERE n.line = ?3`,
          id,
          JSON.stringify(fields),
          row.line,
        );
      }
      db.run(
        `UPDATE ${current} SET record = p.id, changed = iif(?1, ?2, changed)${assigned}
         FROM ${table} AS p WHERE p.id = (SELECT record FROM temp.news WHERE line = ?3) AND ${current}.id = ?4`,
        fields.length > 0,
        id,
        row.line,
        row.id,
      );
    }
    if (rows.length < COMPARED_AT_ONCE) return;
    line = rows.at(-1)!.line;
    await move.inSteps([1, 1], () => {});
  }
}

/** Keys that don't exist yet. */
async function add(move: SqliteMove): Promise<void> {
  const { db, shape, current, changes, id } = move;
  const columns = columnsSql(shape, "p.json");
  await move.inSteps(move.range, (first, last) => {
    const fresh = `temp.news AS c WHERE c.line BETWEEN ?2 AND ?3
      AND NOT EXISTS (SELECT 1 FROM ${current} AS known WHERE known.key = c.key)`;
    db.run(
      `INSERT INTO ${changes} (move, key, change, after) SELECT ?1, c.key, ${
        kindOfNew(move)
      }, c.record FROM ${fresh}`,
      id,
      first,
      last,
    );
    db.run(
      `INSERT INTO ${current} (key, record, first, changed, seen${
        columns.map(({ name }) => `, ${name}`).join("")
      })
       SELECT n.key, n.record, ?1, ?1, ?4${columns.map(({ value }) => `, ${value}`).join("")}
       FROM (SELECT * FROM ${fresh}) AS n JOIN ${move.processed} AS p ON p.id = n.record`,
      id,
      first,
      last,
      seenNow(move),
    );
  });
}

/** Stores that the run is the newest one that holds a key. For the newest complete run most rows have `seen` NULL already and aren't written. */
async function see(move: SqliteMove): Promise<void> {
  const { db, current, place, isNewest } = move;
  const older = `NOT ${isAfter(place, "seen", "?4")}`;
  await move.inSteps(isNewest ? currentIds(move) : move.range, (first, last) => {
    db.run(
      `UPDATE ${current} SET seen = ?1 WHERE ${
        isNewest
          ? "id BETWEEN ?2 AND ?3 AND seen IS NOT NULL AND +record IN (SELECT record FROM temp.held)"
          : "record IN (SELECT record FROM temp.held WHERE line BETWEEN ?2 AND ?3)"
      } AND ${older}`,
      seenNow(move),
      first,
      last,
      place.text,
    );
  });
}

/** Removes keys that a complete run doesn't hold. Those that it holds only as invalid records stay, last seen in an earlier run. */
async function remove(move: SqliteMove, invalid: IdRange = [1, 0]): Promise<void> {
  const { db, shape, pipeline, current, changes, place, id, isNewest } = move;
  db.script(
    `CREATE TEMP TABLE bad (key NOT NULL PRIMARY KEY) WITHOUT ROWID;
     CREATE TEMP TABLE unseen (id INTEGER PRIMARY KEY, key NOT NULL)`,
  );
  await move.inSteps(currentIds(move), (first, last) => {
    db.run(
      `INSERT INTO temp.unseen SELECT id, key FROM ${current} WHERE id BETWEEN ?1 AND ?2
         AND +record NOT IN (SELECT record FROM temp.held) AND NOT ${isAfter(place, "seen", "?3")}`,
      first,
      last,
      place.text,
    );
  });
  if (db.get("SELECT 1 FROM temp.unseen LIMIT 1") !== undefined) {
    await move.inSteps(invalid, (first, last) => {
      db.run(`INSERT OR IGNORE INTO temp.bad ${invalidKeys(pipeline, shape)}`, first, last);
    });
    db.run("DELETE FROM temp.bad WHERE key NOT IN (SELECT key FROM temp.unseen)");
    if (isNewest) {
      db.run(
        `UPDATE ${current} SET seen = ? WHERE key IN (SELECT key FROM temp.bad) AND seen IS NULL`,
        place.completeBefore,
      );
    }
    const gone = "SELECT id FROM temp.unseen WHERE key NOT IN (SELECT key FROM temp.bad)";
    db.run(
      `INSERT INTO ${changes} (move, key, change, before) SELECT ?, key, 'removed', record FROM ${current} WHERE id IN (${gone})`,
      id,
    );
    db.run(`DELETE FROM ${current} WHERE id IN (${gone})`);
  }
  db.script("DROP TABLE temp.bad; DROP TABLE temp.unseen");
}

function currentIds({ db, current }: SqliteMove): IdRange {
  return [1, db.get<{ last: number | null }>(`SELECT max(id) AS last FROM ${current}`)!.last ?? 0];
}
