/**
 * What all views have in common.
 *
 * @module
 */
import type { Database } from "../../sqlite/database.ts";

/** Column names are cut to this. */
const LONGEST_COLUMN = 120;

/** Makes the view `name` where it isn't what `wanted` makes. */
export function refreshView(db: Database, name: string, wanted: string): void {
  const found = db.get<{ sql: string }>(
    "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?",
    name,
  );
  if (found?.sql !== wanted) db.script(`DROP VIEW IF EXISTS ${name}; ${wanted}`);
}

/** A column's name: the key, or, where a name is taken already (SQLite's names ignore case), the key with a number. */
export function columnName(key: string, taken: Set<string>): string {
  const base = key === "" ? "(empty)" : key.slice(0, LONGEST_COLUMN).toWellFormed();
  let name = base;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${base}_${n}`;
  taken.add(name.toLowerCase());
  return name;
}
