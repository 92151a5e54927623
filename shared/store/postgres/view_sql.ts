/** What all views share: names of columns, and their creation. */
import { type Session, sqlText } from "./session.ts";
import { sqlName } from "../sql/sql.ts";

/** The longest name, in bytes; PostgreSQL cuts longer ones. */
const LONGEST_COLUMN = 63;

/** The SQL that created a table or view, which is stored as its comment; undefined if none is. */
export async function noted(db: Session, name: string): Promise<string | undefined> {
  const found = await db.get<{ sql: string | null }>(
    "SELECT obj_description(to_regclass($1), 'pg_class') AS sql",
    sqlName(name),
  );
  return found?.sql ?? undefined;
}

/** Creates the view `name`, or replaces it if it differs from `wanted`. Users who may read one of our views may read all of them. */
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

/** A column's name: the key, cut if too long, with a number if the name is taken. */
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
