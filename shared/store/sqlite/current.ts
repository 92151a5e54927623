// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Reading the current state of a pipeline, and what changed in it. Records are masked; fields that are masked can't be looked for.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
import type { CurrentShape } from "../current_shape.ts";
import { exactJson, hides, MASKED, maskRecord, parseExact, shownPaths } from "../mask.ts";
import { type Bindable, type Database, sqlText } from "../../sqlite/database.ts";
import {
  asStored,
  type ChangeCursor,
  type ChangeRow,
  type Conditions,
  type CurrentCursor,
  type CurrentRow,
  type InvalidOfKey,
  type Key,
  type MoveRow,
  type Ordered,
  type Searchable,
} from "../current_rows.ts";
import { LINES_PER_FILE, type Page, type Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Current } from "../store.ts";
import { conditionsSql, searchable } from "./current_where.ts";
import {
  changesSelect,
  changesTable,
  currentSelect,
  currentTable,
  newestComplete,
  ofMove,
  shownColumns,
} from "./current_table.ts";
import { plainRows } from "./plain_rows.ts";
import { baseTable, fromRecords, idsOf, keySql, TEXT } from "./record_sql.ts";
import { fieldsOf, type ShownPipelines } from "./shown.ts";

export class SqliteCurrent implements Current {
  /** Reads from `db`; `shown` knows the pipelines. */
  constructor(private readonly db: Database, private readonly shown: ShownPipelines) {}

  async pipelines(): Promise<string[]> {
    return this.#pipelines();
  }

  async table(name: string): Promise<{ pipeline: string; isChanges: boolean } | undefined> {
    return this.#table(name);
  }

  async fields(pipeline: string): Promise<Searchable[]> {
    return searchable(...this.#of(pipeline)).map(({ column: _column, ...field }) => field);
  }

  async count(name: string): Promise<number> {
    const { pipeline, isChanges } = await this.table(name) ?? { pipeline: name, isChanges: false };
    this.#of(pipeline);
    const counted = isChanges
      ? `SELECT coalesce(sum(added + changed + removed + restored), 0) AS n FROM run_moves WHERE pipeline = ${
        sqlText(pipeline)
      }`
      : `SELECT count(*) AS n FROM ${currentTable(pipeline)}`;
    return this.db.get<{ n: number }>(counted)!.n;
  }

  async page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]> {
    const [shown, shape] = this.#of(pipeline);
    const { terms, values, order } = conditionsSql(searchable(shown, shape), where, {
      after: page.after !== undefined,
      before: page.before !== undefined,
    });
    const isBackwards = page.from === "end";
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      const [value, key] = cursor.map(bound);
      if (order === undefined) {
        terms.push(`c.key ${sign} ?`);
        values.push(key);
      } else {
        // not a comparison of rows, for which no index with a collation is used
        terms.push(`${order} ${sign}= ? AND (${order} ${sign} ? OR c.key ${sign} ?)`);
        values.push(value, value, key);
      }
    }
    const way = isBackwards ? "DESC" : "ASC";
    const by = `ORDER BY ${order === undefined ? "" : `${order} ${way}, `}c.key ${way}`;
    const rows = this.#rows(shown, order, `${whereOf(terms)} ${by} LIMIT ?`, [...values, page.limit], by);
    return isBackwards ? rows.reverse() : rows;
  }

  async byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]> {
    const [shown] = this.#of(pipeline);
    const values = [JSON.stringify(keys.flatMap(asStored))];
    return this.#rows(
      shown,
      undefined,
      "WHERE c.key IN (SELECT value FROM json_each(?))",
      values,
      "ORDER BY c.key",
    );
  }

  async changes(
    pipeline: string,
    of: { runId?: string | undefined; key?: Key | undefined; change?: ChangeRow["change"] | undefined },
    page: Page<ChangeCursor>,
  ): Promise<ChangeRow[]> {
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
    if (of.change !== undefined) {
      terms.push("x.change = ?");
      values.push(of.change);
    }
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      terms.push(`(x.move, x.key) ${sign} (?, ?)`);
      values.push(...cursor.map(bound));
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const rows = this.db.all<
      Omit<ChangeRow, "fields" | "cursor"> & { move: number; type: string; fields: string | null }
    >(
      `SELECT x.move, ${
        digits("x.key")
      } AS key, typeof(x.key) AS type, x.change, x.fields, x.before, x.after, m.run_id, m.at
       FROM ${changesTable(pipeline)} AS x JOIN run_moves AS m ON m.id = x.move
       ${whereOf(terms)} ORDER BY x.move ${way}, x.key ${way} LIMIT ?`,
      ...values,
      page.limit,
    ).map(({ move, fields, type, ...row }): ChangeRow => ({
      ...row,
      key: hides(masks.processed, key) ? MASKED : row.key,
      fields: fields === null ? [] : shownPaths(JSON.parse(fields), masks.processed),
      cursor: [move, ordered(row.key, type)],
    }));
    return page.from === "end" ? rows.reverse() : rows;
  }

  async moves(runIds: readonly string[]): Promise<Map<string, MoveRow>> {
    const rows = this.db.all<MoveRow>(
      `SELECT run_id, at, added, changed, removed, restored FROM run_moves
       WHERE run_id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(runIds),
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]> {
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

  async rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined> {
    const [, shape] = this.#of(pipeline);
    const file = this.db.get<{ id: number }>(
      "SELECT id FROM run_files WHERE run_id = ? AND kind = 'raw'",
      runId,
    );
    if (file === undefined) return undefined;
    const keys = JSON.stringify(asStored(key));
    const find = (first: number, last: number) =>
      this.db.get<{ id: number }>(
        `SELECT r.id FROM ${fromRecords("raw", pipeline)}
         WHERE r.id BETWEEN ? AND ? AND ${keySql(shape.key, TEXT)} IN (SELECT value FROM json_each(?))
         ORDER BY r.id DESC LIMIT 1`,
        first,
        last,
        keys,
      )?.id;
    const [first, last] = idsOf(file.id);
    // valid records are in the order of the raw file, in which invalid ones may stand before them
    const near = this.db.get<{ line: number; invalid: number }>(
      `SELECT c.record % ${LINES_PER_FILE} AS line, i.records AS invalid FROM ${currentTable(pipeline)} AS c
       JOIN run_files AS p ON p.id = c.record / ${LINES_PER_FILE} AND p.run_id = ?1
       JOIN run_files AS i ON i.run_id = ?1 AND i.kind = 'invalid'
       WHERE c.key IN (SELECT value FROM json_each(?2))`,
      runId,
      keys,
    );
    return (near && find(first + near.line, first + near.line + near.invalid)) ?? find(first, last);
  }

  /** Rows of `NAME` or `NAME_changes`, as everybody sees them with `sqlite3`. */
  async tableRows(name: string, page: { limit: number; offset: number }): Promise<Table> {
    const { pipeline, isChanges } = this.#table(name)!;
    const [shown, shape] = this.#of(pipeline);
    const { limit, offset } = page;
    if (isChanges) {
      const select = `${changesSelect(shown, shape)} ORDER BY x.move, x.key LIMIT ? OFFSET ?`;
      return this.db.table(select, limit, offset);
    }
    const fields = fieldsOf(this.db, pipeline);
    const order = "ORDER BY c.key LIMIT ? OFFSET ?";
    const processed = baseTable("processed", pipeline);
    return plainRows(this.db, shownColumns(shown, shape, fields), {
      id: "c.id",
      text: "p.json",
      rest: `FROM ${currentTable(pipeline)} AS c LEFT JOIN ${processed} AS p ON p.id = c.record ${order}`,
      mask: shown.masks.processed,
      view: `${currentSelect(shown, shape, fields)} ${order}`,
      viewOf: `${
        currentSelect(shown, shape, fields, "c.id, ")
      } WHERE c.id IN (SELECT value FROM json_each(?))`,
    }, page);
  }

  #pipelines(): string[] {
    return [...this.shown.get().values()].flatMap(({ name, current }) => current === null ? [] : [name]);
  }

  #table(name: string): { pipeline: string; isChanges: boolean } | undefined {
    const isChanges = name.endsWith("_changes");
    const pipeline = isChanges ? name.slice(0, -"_changes".length) : name;
    return this.shown.get().get(pipeline)?.current ? { pipeline, isChanges } : undefined;
  }

  /** @throws PermanentError where the pipeline has no current state. */
  #of(pipeline: string): [Shown, CurrentShape] {
    const shown = this.shown.get().get(pipeline);
    if (!shown?.current) {
      throw new PermanentError(
        `Cannot read the current state of "${pipeline}": wanted one of ${this.#pipelines().join(", ")}.`,
      );
    }
    return [shown, shown.current];
  }

  /** The records are read of the rows alone that `which` leaves, so that to sort them is to sort short rows. */
  #rows(
    { name, masks, current }: Shown,
    order: string | undefined,
    which: string,
    values: Bindable[],
    by: string,
  ): CurrentRow[] {
    const isHidden = hides(masks.processed, current!.key);
    return this.db.all<
      Omit<CurrentRow, "record" | "cursor"> & {
        json: string;
        type: string;
        value: Key | null;
        value_type: string;
      }
    >(
      `SELECT ${digits("c.key")} AS key, typeof(c.key) AS type, c.record AS record_id, p.json,
         ${digits(order ?? "NULL")} AS value, typeof(${order ?? "NULL"}) AS value_type,
         ${ofMove("run_id", "c.first")} AS first_run, ${ofMove("run_id", "c.changed")} AS changed_run,
         ${ofMove("at", "c.changed")} AS changed_at,
         ${ofMove("run_id", `coalesce(c.seen, ${newestComplete(name)})`)} AS seen_run
       FROM (SELECT * FROM ${currentTable(name)} AS c ${which}) AS c JOIN ${
        baseTable("processed", name)
      } AS p ON p.id = c.record ${by}`,
      ...values,
    ).map(({ json, type, value, value_type, ...row }) => ({
      ...row,
      key: isHidden ? MASKED : row.key,
      record: maskRecord(parseExact(json), masks.processed),
      cursor: [value === null ? null : ordered(value, value_type), ordered(row.key, type)],
    }));
  }
}

function whereOf(terms: readonly string[]): string {
  return terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`;
}

/** A value, of a whole number beyond 2^53 its digits. */
function digits(value: string): string {
  const most = Number.MAX_SAFE_INTEGER;
  return `iif(typeof(${value}) = 'integer' AND ${value} NOT BETWEEN -${most} AND ${most}, CAST(${value} AS TEXT), ${value})`;
}

function ordered(value: Key, type: string): Ordered {
  return type === "integer" && typeof value === "string" ? exactJson.rawJSON(value) : value;
}

function bound(value: Ordered | null): Bindable {
  return typeof value === "object" && value !== null ? BigInt(JSON.stringify(value)) : value;
}
