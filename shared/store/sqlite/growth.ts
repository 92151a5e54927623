/** How fast the database grows. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { Database } from "../../sqlite/database.ts";
import type { Growth } from "../rows.ts";

/** The mode (`auto_vacuum`) in which a database frees pages on request. An existing database keeps its own mode. */
export const INCREMENTAL = 2;

/** Whether the database file can return its free pages to the disk. */
export function givesBack(db: Database): boolean {
  return db.get<{ auto_vacuum: number }>("PRAGMA auto_vacuum")!.auto_vacuum === INCREMENTAL;
}

/** Days from which the growth is computed. */
const DAYS = 30;

/** Days whose size is stored. */
const REMEMBERED = 400;

const USED = `(SELECT (page_count - freelist_count) * page_size
  FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size())`;

/** Stores the size of the day, in the transaction of a load. */
export function noteGrowth(db: Database, day: string = new Date().toISOString().slice(0, 10)): void {
  db.run(`INSERT OR REPLACE INTO run_growth (day, bytes) VALUES (?, ${USED})`, day);
  db.run(`DELETE FROM run_growth WHERE day < date(?, '-${REMEMBERED} days')`, day);
}

/** The size now, and the growth between the first and the last stored day. */
export function growthOf(db: Database): Growth {
  const { bytes } = db.get<{ bytes: number }>(`SELECT ${USED} AS bytes`)!;
  const found = db.get<{ bytesPerDay: number | null }>(
    `WITH days AS (SELECT day, bytes FROM run_growth WHERE day > date((SELECT max(day) FROM run_growth), '-${DAYS} days')),
       first AS (SELECT * FROM days ORDER BY day LIMIT 1), last AS (SELECT * FROM days ORDER BY day DESC LIMIT 1)
     SELECT (last.bytes - first.bytes) / nullif(julianday(last.day) - julianday(first.day), 0) AS bytesPerDay FROM first, last`,
  );
  const bytesPerDay = found?.bytesPerDay ?? null;
  const freeBytes = freeOn(dirname(db.path));
  const daysLeft = freeBytes !== null && bytesPerDay !== null && bytesPerDay > 0
    ? freeBytes / bytesPerDay
    : null;
  const toGiveBack = givesBack(db)
    ? undefined
    : `stop the services and run: sqlite3 ${db.path} 'PRAGMA auto_vacuum = ${INCREMENTAL}; VACUUM' (it takes as much room as the database again)`;
  return { bytes, bytesPerDay, freeBytes, daysLeft, toGiveBack };
}

/** Null if this process lacks the permission. */
function freeOn(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}
