/** The reads of the current state that are the same in both engines. */
import { PermanentError } from "../../errors/errors.ts";
import type {
  ChangeCursor,
  ChangeFilter,
  ChangeRow,
  Conditions,
  CurrentCursor,
  CurrentRow,
  InvalidOfKey,
  Key,
  MoveRow,
  Ordered,
  Searchable,
} from "../current_rows.ts";
import type { CurrentShape } from "../current_shape.ts";
import { hides } from "../mask.ts";
import type { OffsetPage, Page, Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Current } from "../store.ts";
import type { ShownPipelines } from "./shown.ts";
import type { Bindable, Sql } from "./sql.ts";

/** A field that can be searched, and its column in the current table. */
export interface SearchableColumn extends Searchable {
  readonly column: string;
}

/** The fields of a pipeline's current state that can be searched: those with a column that aren't masked. */
export function searchable({ masks }: Shown, { key, columns, index }: CurrentShape): SearchableColumn[] {
  const all = [
    { keys: key, type: undefined, column: "c.key", isIndexed: true },
    ...columns.map(({ keys, type }, n) => ({
      keys,
      type,
      column: `c.c${n}`,
      isIndexed: index.includes(keys.join(".")),
    })),
  ];
  return all.filter(({ keys }) => !hides(masks.processed, keys))
    .map(({ keys, ...rest }) => ({ field: keys.join("."), ...rest }));
}

export abstract class SqlCurrent implements Current {
  constructor(protected readonly db: Sql, private readonly shown: ShownPipelines) {}

  async pipelines(): Promise<string[]> {
    return pipelinesOf(await this.shown.get());
  }

  async table(name: string): Promise<{ pipeline: string; isChanges: boolean } | undefined> {
    const isChanges = name.endsWith("_changes");
    const pipeline = isChanges ? name.slice(0, -"_changes".length) : name;
    return (await this.shown.get()).get(pipeline)?.current ? { pipeline, isChanges } : undefined;
  }

  async fields(pipeline: string): Promise<Searchable[]> {
    return searchable(...await this.of(pipeline)).map(({ column: _column, ...field }) => field);
  }

  async count(name: string): Promise<number> {
    const { pipeline, isChanges } = await this.table(name) ?? { pipeline: name, isChanges: false };
    await this.of(pipeline);
    // the number of keys: all added or restored, less those removed
    const counted = isChanges ? "added + changed + removed + restored" : "added + restored - removed";
    return (await this.db.get<{ n: number }>(
      `SELECT CAST(coalesce(sum(${counted}), 0) AS BIGINT) AS n FROM run_moves WHERE pipeline = $1`,
      pipeline,
    ))!.n;
  }

  async moves(runIds: readonly string[]): Promise<Map<string, MoveRow>> {
    const rows = await this.db.all<MoveRow>(
      `SELECT run_id, at, added, changed, removed, restored FROM run_moves
       WHERE ${this.db.dialect.isIn("run_id", "$1", "text")}`,
      runIds,
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async tableRows(name: string, page: OffsetPage): Promise<Table> {
    const { pipeline, isChanges } = (await this.table(name))!;
    const [shown, shape] = await this.of(pipeline);
    return isChanges ? await this.changeRows(shown, shape, page) : await this.currentRows(shown, shape, page);
  }

  abstract page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]>;
  abstract byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]>;
  abstract changes(pipeline: string, of: ChangeFilter, page: Page<ChangeCursor>): Promise<ChangeRow[]>;
  abstract invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]>;
  abstract rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined>;

  /** Rows of the view `NAME`. */
  protected abstract currentRows(shown: Shown, shape: CurrentShape, page: OffsetPage): Promise<Table>;

  /** Rows of the view `NAME_changes`. */
  protected abstract changeRows(shown: Shown, shape: CurrentShape, page: OffsetPage): Promise<Table>;

  /** @throws PermanentError if the pipeline has no current state. */
  protected async of(pipeline: string): Promise<[Shown, CurrentShape]> {
    const all = await this.shown.get();
    const shown = all.get(pipeline);
    if (!shown?.current) {
      throw new PermanentError(
        `Cannot read the current state of "${pipeline}": wanted one of ${pipelinesOf(all).join(", ")}.`,
      );
    }
    return [shown, shown.current];
  }
}

/** A part of a cursor as a parameter. */
export function boundOf(value: Ordered | null): Bindable {
  return typeof value === "object" && value !== null ? BigInt(JSON.stringify(value)) : value;
}

function pipelinesOf(shown: ReadonlyMap<string, Shown>): string[] {
  return [...shown.values()].flatMap(({ name, current }) => current === null ? [] : [name]);
}
