/**
 * Reading the current state of a pipeline, and what changed in it. Records are masked; fields that are masked can't be looked for.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
import type { CurrentShape } from "../current_shape.ts";
import { MASKED, maskRecord, parseExact } from "../mask.ts";
import type { Bindable, Database, Table } from "../../sqlite/database.ts";
import { type Conditions, conditionsSql, type Searchable, searchable } from "./current_where.ts";
import {
  changesSelect,
  changesTable,
  currentSelect,
  currentTable,
  hides,
  newestComplete,
} from "./current_table.ts";
import { baseTable, fromRecords, idsOf, keySql, LINES_PER_FILE, TEXT } from "./record_sql.ts";
import type { Records } from "./records.ts";
import type { Page } from "./runs.ts";
import { fieldsOf, type Shown } from "./shown.ts";

/** What identifies a record. Whole numbers of more than 64 bits are text. */
export type Key = string | number;

/** A row of the current state. */
export interface CurrentRow {
  readonly key: Key;
  /** The processed record that holds it, as in `Records`. */
  readonly record_id: number;
  /** The masked record; as in `Records`. */
  readonly record: unknown;
  /** The run that added or restored it. */
  readonly first_run: string;
  /** The run that gave it its values. */
  readonly changed_run: string;
  /** When that run was loaded. */
  readonly changed_at: string;
  /** The newest run that held it as a valid record. */
  readonly seen_run: string;
  /** Its place in the order of the page. */
  readonly cursor: CurrentCursor;
}

/** A place in the order of a page: the value that it is ordered by, where that isn't the key alone, and the key. */
export type CurrentCursor = readonly [value: string | number | null, key: Key];

/** What a run did to a key. */
export interface ChangeRow {
  readonly key: Key;
  readonly change: "added" | "changed" | "removed" | "restored";
  readonly run_id: string;
  readonly at: string;
  /** Of one that changed: the paths of the fields that differ. */
  readonly fields: readonly string[];
  /** The processed record before; null where there was none. It can be read while its run is kept. */
  readonly before: number | null;
  /** The processed record after; null where there is none. */
  readonly after: number | null;
  /** Its place in the order of changes. */
  readonly cursor: ChangeCursor;
}

/** A place in the order of changes. */
export type ChangeCursor = readonly [move: number, key: Key];

/** How many keys a run added, changed, removed and restored. */
export interface MoveRow {
  readonly run_id: string;
  readonly at: string;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly restored: number;
}

/** An invalid record with a certain key. */
export interface InvalidOfKey {
  /** Its id, as in `Records`. */
  readonly record_id: number;
  /** The run in which it was first invalid with this text. */
  readonly run_id: string;
}

export class Current {
  /** Reads from `db`; `records` knows the pipelines. */
  constructor(private readonly db: Database, private readonly records: Records) {}

  /** The pipelines that have a current state: their names are those of the tables, `NAME` and `NAME_changes`. */
  pipelines(): string[] {
    return [...this.records.pipelines().values()].flatMap(({ name, current }) =>
      current === null ? [] : [name]
    );
  }

  /** Whether there is a table of this name, and whose: `NAME`, or `NAME_changes`. */
  table(name: string): { pipeline: string; isChanges: boolean } | undefined {
    const isChanges = name.endsWith("_changes");
    const pipeline = isChanges ? name.slice(0, -"_changes".length) : name;
    return this.records.pipelines().get(pipeline)?.current ? { pipeline, isChanges } : undefined;
  }

  /** The fields that can be looked for. */
  fields(pipeline: string): Searchable[] {
    return searchable(...this.#of(pipeline));
  }

  /** How many keys there are. */
  count(pipeline: string): number {
    this.#of(pipeline);
    return this.db.get<{ n: number }>(`SELECT count(*) AS n FROM ${currentTable(pipeline)}`)!.n;
  }

  /**
   * A page of what meets all conditions, in the order of the field with an index that is compared, if there is one, and of the keys.
   *
   * @throws PermanentError for a field that can't be looked for.
   */
  page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): CurrentRow[] {
    const [shown, shape] = this.#of(pipeline);
    const { terms, values, order } = conditionsSql(searchable(shown, shape), where);
    const isBackwards = page.from === "end";
    for (const [cursor, later] of [[page.after, true], [page.before, false]] as const) {
      if (cursor === undefined) continue;
      const sign = later ? ">" : "<";
      terms.push(order === undefined ? `c.key ${sign} ?` : `(${order}, c.key) ${sign} (?, ?)`);
      values.push(...order === undefined ? cursor.slice(1) : cursor);
    }
    const way = isBackwards ? "DESC" : "ASC";
    const by = order === undefined ? `c.key ${way}` : `${order} ${way}, c.key ${way}`;
    const rows = this.#rows(shown, order, `${whereOf(terms)} ORDER BY ${by} LIMIT ?`, [
      ...values,
      page.limit,
    ]);
    return isBackwards ? rows.reverse() : rows;
  }

  /** The rows with these keys, as far as they are there. A key that is a number may be given as text. */
  byKeys(pipeline: string, keys: readonly Key[]): CurrentRow[] {
    const [shown] = this.#of(pipeline);
    return this.#rows(shown, undefined, "WHERE c.key IN (SELECT value FROM json_each(?)) ORDER BY c.key", [
      JSON.stringify(keys.flatMap(asStored)),
    ]);
  }

  /** What runs did to keys, in the order in which they were loaded; of one run by key. */
  changes(
    pipeline: string,
    of: { runId?: string | undefined; key?: Key | undefined },
    page: Page<ChangeCursor>,
  ): ChangeRow[] {
    const [{ masks }, { key }] = this.#of(pipeline);
    const terms: string[] = [];
    const values: Bindable[] = [];
    if (of.runId !== undefined) {
      terms.push("x.move = (SELECT id FROM run_moves WHERE run_id = ?)");
      values.push(of.runId);
    }
    if (of.key !== undefined) {
      terms.push("x.key IN (SELECT value FROM json_each(?))");
      values.push(JSON.stringify(asStored(of.key)));
    }
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      terms.push(`(x.move, x.key) ${sign} (?, ?)`);
      values.push(...cursor);
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const rows = this.db.all<Omit<ChangeRow, "fields" | "cursor"> & { move: number; fields: string | null }>(
      `SELECT x.move, x.key, x.change, x.fields, x.before, x.after, m.run_id, m.at
       FROM ${changesTable(pipeline)} AS x JOIN run_moves AS m ON m.id = x.move
       ${whereOf(terms)} ORDER BY x.move ${way}, x.key ${way} LIMIT ?`,
      ...values,
      page.limit,
    ).map(({ move, fields, ...row }): ChangeRow => ({
      ...row,
      key: hides(masks.processed, key) ? MASKED : row.key,
      fields: fields === null ? [] : JSON.parse(fields),
      cursor: [move, row.key],
    }));
    return page.from === "end" ? rows.reverse() : rows;
  }

  /** What each run did to the current state of its pipeline; runs that did nothing yet are left out. */
  moves(runIds: readonly string[]): Map<string, MoveRow> {
    const rows = this.db.all<MoveRow>(
      `SELECT run_id, at, added, changed, removed, restored FROM run_moves
       WHERE run_id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(runIds),
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  /** The invalid records with a key, newest first, each text once. Looks through all invalid records of the pipeline. */
  invalidOf(pipeline: string, key: Key, limit: number): InvalidOfKey[] {
    const [, shape] = this.#of(pipeline);
    return this.db.all<InvalidOfKey>(
      `SELECT r.id AS record_id, f.run_id FROM ${baseTable("invalid", pipeline)} AS r
       JOIN run_files AS f ON f.id = r.id / ${LINES_PER_FILE}
       WHERE r.same_as IS NULL AND ${keySql(shape.key, "r.json")} IN (SELECT value FROM json_each(?))
       ORDER BY r.id DESC LIMIT ?`,
      JSON.stringify(asStored(key)),
      limit,
    );
  }

  /** The raw record of a run that became its valid record with this key; undefined where the run has none, or isn't kept. */
  rawOf(pipeline: string, runId: string, key: Key): number | undefined {
    const [, shape] = this.#of(pipeline);
    const file = this.db.get<{ id: number }>(
      "SELECT id FROM run_files WHERE run_id = ? AND kind = 'raw'",
      runId,
    );
    if (file === undefined) return undefined;
    return this.db.get<{ id: number }>(
      `SELECT r.id FROM ${fromRecords("raw", pipeline)}
       WHERE r.id BETWEEN ? AND ? AND ${keySql(shape.key, TEXT)} IN (SELECT value FROM json_each(?))
       ORDER BY r.id DESC LIMIT 1`,
      ...idsOf(file.id),
      JSON.stringify(asStored(key)),
    )?.id;
  }

  /** Rows of `NAME` or `NAME_changes`, as everybody sees them with `sqlite3`. */
  tableRows(name: string, page: { limit: number; offset: number }): Table {
    const { pipeline, isChanges } = this.table(name)!;
    const [shown, shape] = this.#of(pipeline);
    const select = isChanges
      ? `${changesSelect(shown, shape)} ORDER BY x.move, x.key`
      : `${currentSelect(shown, shape, fieldsOf(this.db, pipeline))} ORDER BY c.key`;
    return this.db.table(`${select} LIMIT ? OFFSET ?`, page.limit, page.offset);
  }

  /** @throws PermanentError where the pipeline has no current state. */
  #of(pipeline: string): [Shown, CurrentShape] {
    const shown = this.records.pipelines().get(pipeline);
    if (!shown?.current) {
      throw new PermanentError(
        `Cannot read the current state of "${pipeline}": wanted one of ${this.pipelines().join(", ")}.`,
      );
    }
    return [shown, shown.current];
  }

  #rows(
    { name, masks, current }: Shown,
    order: string | undefined,
    rest: string,
    values: Bindable[],
  ): CurrentRow[] {
    const run = (what: string, id: string) => `(SELECT m.${what} FROM run_moves AS m WHERE m.id = ${id})`;
    const isHidden = hides(masks.processed, current!.key);
    return this.db.all<
      Omit<CurrentRow, "record" | "cursor"> & { json: string; value: string | number | null }
    >(
      `SELECT c.key, c.record AS record_id, ${order ?? "NULL"} AS value, p.json,
         ${run("run_id", "c.first")} AS first_run, ${run("run_id", "c.changed")} AS changed_run,
         ${run("at", "c.changed")} AS changed_at,
         ${run("run_id", `coalesce(c.seen, ${newestComplete(name)})`)} AS seen_run
       FROM ${currentTable(name)} AS c JOIN ${baseTable("processed", name)} AS p ON p.id = c.record ${rest}`,
      ...values,
    ).map(({ json, value, ...row }) => ({
      ...row,
      key: isHidden ? MASKED : row.key,
      record: maskRecord(parseExact(json), masks.processed),
      cursor: [value, row.key],
    }));
  }
}

function whereOf(terms: readonly string[]): string {
  return terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`;
}

/** A key as it may be stored: the text of a number is that number too. */
function asStored(key: Key): Key[] {
  const number = Number(key);
  return typeof key === "string" && key.trim() !== "" && String(number) === key ? [key, number] : [key];
}
