/** What all views share: names of columns, and their creation. */
import type { Database } from "../../sqlite/database.ts";

/** The length to which column names are cut. */
const LONGEST_COLUMN = 120;

/** Creates the view `name`, or replaces it if it differs from `wanted`. */
export function refreshView(db: Database, name: string, wanted: string): void {
  const found = db.get<{ sql: string }>(
    "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?",
    name,
  );
  if (found?.sql !== wanted) db.script(`DROP VIEW IF EXISTS ${name}; ${wanted}`);
}

/** The name of a column or an index: the key, or, if the name is taken (SQLite's names ignore case), the key with a number. */
export function columnName(key: string, taken: Set<string>): string {
  const base = key === "" ? "(empty)" : key.slice(0, LONGEST_COLUMN).toWellFormed();
  let name = base;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${base}_${n}`;
  taken.add(name.toLowerCase());
  return name;
}
