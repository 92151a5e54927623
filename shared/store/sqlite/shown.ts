/**
 * What is shown of each pipeline's records, in the database.
 *
 * @module
 */
import type { Database } from "../../sqlite/database.ts";
import { type Shown, withMasks } from "../shown.ts";

/** Writes what is shown of a pipeline from now on. */
export function keepShown(db: Database, { name, added, masked, judged, folder, current }: Shown): void {
  db.run(
    `INSERT INTO pipelines (name, added, masked, judged, folder, current) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET added = excluded.added, masked = excluded.masked, judged = excluded.judged,
       folder = excluded.folder, current = excluded.current`,
    name,
    JSON.stringify(added),
    JSON.stringify(masked),
    JSON.stringify(judged),
    folder,
    current && JSON.stringify(current),
  );
}

type Row =
  & Record<"name" | "added" | "masked" | "judged", string>
  & Record<"folder" | "current", string | null>;

/** All pipelines that the database knows, by name. */
export function shownPipelines(db: Database): Map<string, Shown> {
  const rows = db.all<Row>("SELECT * FROM pipelines ORDER BY name");
  return new Map(
    rows.map(({ name, added, masked, judged, folder, current }) => [
      name,
      withMasks({
        name,
        added: JSON.parse(added),
        masked: JSON.parse(masked),
        judged: JSON.parse(judged),
        folder,
        current: current && JSON.parse(current),
      }),
    ]),
  );
}

/** The top-level keys of a pipeline's records, in the order in which views show them as columns. */
export function fieldsOf(db: Database, pipeline: string): string[] {
  return db.all<{ name: string }>(
    "SELECT name FROM pipeline_fields WHERE pipeline = ? ORDER BY position",
    pipeline,
  ).map(({ name }) => name);
}

/** All pipelines that the database knows, read again after each commit of others. */
export class ShownPipelines {
  #known: { version: number; shown: ReadonlyMap<string, Shown> } | undefined;

  /** Reads from `db`. */
  constructor(private readonly db: Database) {}

  /** By name. */
  get(): ReadonlyMap<string, Shown> {
    const version = versionOf(this.db);
    if (this.#known?.version !== version) this.#known = { version, shown: shownPipelines(this.db) };
    return this.#known.shown;
  }
}

/** A number that changes whenever another connection has committed something. */
export function versionOf(db: Database): number {
  return db.get<{ data_version: number }>("PRAGMA data_version")!.data_version;
}
