/** Stores and reads how each pipeline's records are shown. */
import { type Shown, withMasks } from "../shown.ts";
import { type Sql, upsert } from "./sql.ts";

/** Stores how a pipeline is shown from now on. */
export async function keepShown(db: Sql, shown: Shown): Promise<void> {
  const { name, added, masked, judged, folder, current } = shown;
  await upsert(db, "pipelines", ["name"], {
    name,
    added: JSON.stringify(added),
    masked: JSON.stringify(masked),
    judged: JSON.stringify(judged),
    folder,
    current: current && JSON.stringify(current),
  });
}

type Row =
  & Record<"name" | "added" | "masked" | "judged", string>
  & Record<"folder" | "current", string | null>;

/** The top-level keys of a pipeline's records, in the order in which views show them as columns. */
export async function fieldsOf(db: Sql, pipeline: string): Promise<string[]> {
  const rows = await db.all<{ name: string }>(
    "SELECT name FROM pipeline_fields WHERE pipeline = $1 ORDER BY position",
    pipeline,
  );
  return rows.map(({ name }) => name);
}

/** All pipelines that the database knows. */
export class ShownPipelines {
  /** The last read result, so its masks aren't computed again for each query. */
  #known = new Map<string, { text: string; shown: Shown }>();
  #shown: ReadonlyMap<string, Shown> = new Map();
  #version: number | undefined;

  /** Reads from `db`. `versionOf` returns a number that changes with every commit, if that is cheap to read. */
  constructor(private readonly db: Sql, private readonly versionOf?: () => number) {}

  /** The pipelines by name. Always current, so a new mask applies at once. */
  async get(): Promise<ReadonlyMap<string, Shown>> {
    const version = this.versionOf?.();
    if (version !== undefined && version === this.#version) return this.#shown;
    const rows = await this.db.all<Row>("SELECT * FROM pipelines ORDER BY name");
    this.#known = new Map(rows.map((row) => {
      const text = JSON.stringify(row);
      const before = this.#known.get(row.name);
      return [row.name, before?.text === text ? before : { text, shown: shownOf(row) }];
    }));
    this.#shown = new Map([...this.#known].map(([name, { shown }]) => [name, shown]));
    this.#version = version;
    return this.#shown;
  }
}

function shownOf({ name, added, masked, judged, folder, current }: Row): Shown {
  return withMasks({
    name,
    added: JSON.parse(added),
    masked: JSON.parse(masked),
    judged: JSON.parse(judged),
    folder,
    current: current && JSON.parse(current),
  });
}
