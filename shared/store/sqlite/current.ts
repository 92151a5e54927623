/** Reads the current state of a pipeline, and its changes. Records are masked; masked fields can't be searched. */
import type { CurrentShape } from "../current_shape.ts";
import { exactJson, parseExact } from "../../pipeline/exact_json.ts";
import { hides, MASKED, maskRecord, shownPaths } from "../mask.ts";
import type { Database } from "../../sqlite/database.ts";
import type { Bindable } from "../sql/sql.ts";
import {
  asStored,
  type ChangeCursor,
  type ChangeFilter,
  type ChangeRow,
  type Conditions,
  type CurrentCursor,
  type CurrentRow,
  type InvalidOfKey,
  type Key,
  type Ordered,
} from "../current_rows.ts";
import { LINES_PER_FILE, type OffsetPage, type Page, type Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { addConditions } from "./current_where.ts";
import { changesSelect, currentSelect, shownColumns } from "./current_table.ts";
import { plainRows } from "./plain_rows.ts";
import { keySql } from "./record_sql.ts";
import { baseTable, changesTable, currentTable, fileIdOf, fromRecords, idsOf, TEXT } from "../sql/tables.ts";
import { fieldsOf, type ShownPipelines } from "../sql/shown.ts";
import { boundOf, searchable, SqlCurrent } from "../sql/current.ts";
import { sqlOf } from "./statements.ts";
import { Terms } from "../sql/terms.ts";
import { currentMeta, selected } from "../sql/columns.ts";

/** The list bound to the first parameter as JSON. */
const LISTED = "(SELECT value FROM json_each($1))";

export class SqliteCurrent extends SqlCurrent {
  constructor(private readonly database: Database, shown: ShownPipelines) {
    super(sqlOf(database), shown);
  }

  async page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]> {
    const [shown, shape] = await this.of(pipeline);
    const terms = new Terms();
    const order = addConditions(terms, searchable(shown, shape), where, {
      after: page.after !== undefined,
      before: page.before !== undefined,
    });
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      const [value, key] = cursor.map((part) => terms.bind(boundOf(part)));
      terms.addSql(
        order === undefined
          ? `c.key ${sign} ${key}`
          // not a comparison of rows: SQLite then uses no index with a collation
          : `${order} ${sign}= ${value} AND (${order} ${sign} ${value} OR c.key ${sign} ${key})`,
      );
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const by = `ORDER BY ${order === undefined ? "" : `${order} ${way}, `}c.key ${way}`;
    const rows = await this.#rows(
      shown,
      order,
      `${terms} ${by} LIMIT ${terms.bind(page.limit)}`,
      terms.values,
      by,
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  async byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]> {
    const [shown] = await this.of(pipeline);
    const values = [JSON.stringify(keys.flatMap(asStored))];
    return await this.#rows(shown, undefined, `WHERE c.key IN ${LISTED}`, values, "ORDER BY c.key");
  }

  async changes(pipeline: string, of: ChangeFilter, page: Page<ChangeCursor>): Promise<ChangeRow[]> {
    const [{ masks }, { key }] = await this.of(pipeline);
    const terms = new Terms();
    if (of.runId !== undefined) terms.add`x.move = (SELECT id FROM run_moves WHERE run_id = ${of.runId})`;
    if (of.key !== undefined) {
      terms.add`x.key IN (SELECT value FROM json_each(${JSON.stringify(asStored(of.key))}))`;
    }
    if (of.change !== undefined) terms.add`x.change = ${of.change}`;
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      terms.add`(x.move, x.key) ${terms.raw(sign)} (${cursor[0]}, ${boundOf(cursor[1])})`;
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const read = await this.db.all<
      Omit<ChangeRow, "fields" | "cursor"> & { move: number; type: string; fields: string | null }
    >(
      `SELECT x.move, ${
        digits("x.key")
      } AS key, typeof(x.key) AS type, x.change, x.fields, x.before, x.after, m.run_id, m.at
       FROM ${changesTable(pipeline)} AS x JOIN run_moves AS m ON m.id = x.move
       ${terms} ORDER BY x.move ${way}, x.key ${way} LIMIT ${terms.bind(page.limit)}`,
      ...terms.values,
    );
    const rows = read.map(({ move, fields, type, ...row }): ChangeRow => ({
      ...row,
      key: hides(masks.processed, key) ? MASKED : row.key,
      fields: fields === null ? [] : shownPaths(JSON.parse(fields), masks.processed),
      cursor: [move, ordered(row.key, type)],
    }));
    return page.from === "end" ? rows.reverse() : rows;
  }

  async invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]> {
    const [, shape] = await this.of(pipeline);
    return await this.db.all<InvalidOfKey>(
      `SELECT r.id AS record_id, f.run_id FROM ${baseTable("invalid", pipeline)} AS r
       JOIN run_files AS f ON f.id = r.id / ${LINES_PER_FILE}
       WHERE r.same_as IS NULL AND ${keySql(shape.key, "r.json")} IN ${LISTED}
       ORDER BY r.id DESC LIMIT $2`,
      JSON.stringify(asStored(key)),
      limit,
    );
  }

  async rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined> {
    const [, shape] = await this.of(pipeline);
    const file = await fileIdOf(this.db, runId, "raw");
    if (file === undefined) return undefined;
    const keys = JSON.stringify(asStored(key));
    const find = async (first: number, last: number) => {
      const found = await this.db.get<{ id: number }>(
        `SELECT r.id FROM ${fromRecords("raw", pipeline)}
         WHERE ${keySql(shape.key, TEXT)} IN ${LISTED} AND r.id BETWEEN $2 AND $3 ORDER BY r.id DESC LIMIT 1`,
        keys,
        first,
        last,
      );
      return found?.id;
    };
    const [first, last] = idsOf(file);
    // the raw line is the valid line plus the number of invalid lines before it, so at most all of them further
    const near = await this.db.get<{ line: number; invalid: number }>(
      `SELECT c.record % ${LINES_PER_FILE} AS line, i.records AS invalid FROM ${currentTable(pipeline)} AS c
       JOIN run_files AS p ON p.id = c.record / ${LINES_PER_FILE} AND p.run_id = $2
       JOIN run_files AS i ON i.run_id = $2 AND i.kind = 'invalid'
       WHERE c.key IN ${LISTED}`,
      keys,
      runId,
    );
    const found = near && await find(first + near.line, first + near.line + near.invalid);
    return found ?? await find(first, last);
  }

  protected changeRows(shown: Shown, shape: CurrentShape, { limit, offset }: OffsetPage): Promise<Table> {
    const select = `${changesSelect(shown, shape)} ORDER BY x.move, x.key LIMIT ? OFFSET ?`;
    return Promise.resolve(this.database.table(select, limit, offset));
  }

  protected async currentRows(shown: Shown, shape: CurrentShape, page: OffsetPage): Promise<Table> {
    const fields = await fieldsOf(this.db, shown.name);
    const order = "ORDER BY c.key LIMIT ? OFFSET ?";
    const processed = baseTable("processed", shown.name);
    return plainRows(this.database, shownColumns(shown, shape, fields), {
      id: "c.id",
      text: "p.json",
      rest: `FROM ${currentTable(shown.name)} AS c LEFT JOIN ${processed} AS p ON p.id = c.record ${order}`,
      mask: shown.masks.processed,
      view: `${currentSelect(shown, shape, fields)} ${order}`,
      viewOf: `${
        currentSelect(shown, shape, fields, "c.id, ")
      } WHERE c.id IN (SELECT value FROM json_each(?))`,
    }, page);
  }

  /** Reads records only for the rows that `which` selects, so that only short rows are sorted. */
  async #rows(
    { name, masks, current }: Shown,
    order: string | undefined,
    which: string,
    values: readonly Bindable[],
    by: string,
  ): Promise<CurrentRow[]> {
    const isHidden = hides(masks.processed, current!.key);
    const rows = await this.db.all<
      Omit<CurrentRow, "record" | "cursor"> & {
        json: string;
        type: string;
        value: Key | null;
        value_type: string;
      }
    >(
      `SELECT ${digits("c.key")} AS key, typeof(c.key) AS type, c.record AS record_id, p.json,
         ${digits(order ?? "NULL")} AS value, typeof(${order ?? "NULL"}) AS value_type,
         ${selected(currentMeta(name))}
       FROM (SELECT * FROM ${currentTable(name)} AS c ${which}) AS c JOIN ${
        baseTable("processed", name)
      } AS p ON p.id = c.record ${by}`,
      ...values,
    );
    return rows.map(({ json, type, value, value_type, ...row }) => ({
      ...row,
      key: isHidden ? MASKED : row.key,
      record: maskRecord(parseExact(json), masks.processed),
      cursor: [value === null ? null : ordered(value, value_type), ordered(row.key, type)],
    }));
  }
}

/** A value; for a whole number beyond 2^53, its digits. */
function digits(value: string): string {
  const most = Number.MAX_SAFE_INTEGER;
  return `iif(typeof(${value}) = 'integer' AND ${value} NOT BETWEEN -${most} AND ${most}, CAST(${value} AS TEXT), ${value})`;
}

function ordered(value: Key, type: string): Ordered {
  return type === "integer" && typeof value === "string" ? exactJson.rawJSON(value) : value;
}
