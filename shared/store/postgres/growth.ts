/** Measures how fast the database grows. */
import type { Growth } from "../rows.ts";
import type { Session } from "./session.ts";

/** Days from which the growth is computed, and days whose size is stored. */
const [DAYS, REMEMBERED] = [30, 400];

/** Stores the size of the day, in the transaction of a load. */
export async function noteGrowth(session: Session): Promise<void> {
  await session.run(
    `INSERT INTO run_growth (day, bytes) VALUES (CURRENT_DATE, pg_database_size(current_database()))
     ON CONFLICT (day) DO UPDATE SET bytes = excluded.bytes`,
  );
  await session.run(`DELETE FROM run_growth WHERE day < CURRENT_DATE - ${REMEMBERED}`);
}

/** The size now, and the growth between the first and the last stored day. Free space is unknown: clients can't see the server's disk. */
export async function growthOf(session: Session): Promise<Growth> {
  const { bytes } = (await session.get<{ bytes: number }>(
    "SELECT pg_database_size(current_database()) AS bytes",
  ))!;
  const found = await session.get<{ bytesPerDay: number | null }>(
    `WITH days AS (SELECT day, bytes FROM run_growth WHERE day > (SELECT max(day) FROM run_growth) - ${DAYS}),
       first AS (SELECT * FROM days ORDER BY day LIMIT 1), last AS (SELECT * FROM days ORDER BY day DESC LIMIT 1)
     SELECT ((last.bytes - first.bytes) / nullif(last.day - first.day, 0))::float8 AS "bytesPerDay" FROM first, last`,
  );
  const bytesPerDay = found?.bytesPerDay ?? null;
  return { bytes, bytesPerDay, freeBytes: null, daysLeft: null, toGiveBack: undefined };
}
