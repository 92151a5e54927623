/**
 * What all views have in common.
 *
 * @module
 */
import { type Session, sqlText } from "./session.ts";
import { sqlName } from "../sql/sql.ts";

/** PostgreSQL cuts longer names, in bytes. */
const LONGEST_COLUMN = 63;

/** The SQL that a table or view was made by, which is noted with it; undefined where there is none. */
export async function noted(db: Session, name: string): Promise<string | undefined> {
  const found = await db.get<{ sql: string | null }>(
    "SELECT obj_description(to_regclass($1), 'pg_class') AS sql",
    sqlName(name),
  );
  return found?.sql ?? undefined;
}

/** Makes the view `name` where it isn't what `wanted` selects. Who may read one of our views may read the others. */
export async function refreshView(db: Session, name: string, wanted: string): Promise<void> {
  if (await noted(db, name) === wanted) return;
  const readers = await db.all<{ name: string }>(
    `SELECT DISTINCT a.grantee::regrole::text AS name FROM pg_class AS c
       CROSS JOIN LATERAL aclexplode(c.relacl) AS a
     WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace AND a.privilege_type = 'SELECT'
       AND a.grantee NOT IN (0, c.relowner)`,
  );
  const view = sqlName(name);
  await db.script(
    [
      `DROP VIEW IF EXISTS ${view}`,
      `CREATE VIEW ${view} AS ${wanted}`,
      `COMMENT ON VIEW ${view} IS ${sqlText(wanted)}`,
      ...readers.map((reader) => `GRANT SELECT ON ${view} TO ${reader.name}`),
    ].join("; "),
  );
}

/** A column's name: the key, cut where it is too long, or, where a name is taken already, the key with a number. */
export function columnName(key: string, taken: Set<string>): string {
  const base = key === "" ? "(empty)" : key.toWellFormed();
  let name = cut(base, LONGEST_COLUMN);
  for (let n = 2; taken.has(name.toLowerCase()); n++) {
    const number = `_${n}`;
    name = cut(base, LONGEST_COLUMN - number.length) + number;
  }
  taken.add(name.toLowerCase());
  return name;
}

function cut(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}
