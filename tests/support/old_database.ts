/**
 * A database of an older version.
 *
 * @module
 */
import { Database } from "../../shared/sqlite/database.ts";

/** Creates a folder with a database of schema version 4: two runs of `users`, and a correction of the first. */
export async function oldDatabase(): Promise<{ path: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/data.db`;
  using db = new Database(path);
  db.script(await Deno.readTextFile(new URL("../fixtures/database_4.sql", import.meta.url)));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
