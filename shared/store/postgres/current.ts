/** Reads the current state of a pipeline, and its changes. Records are masked; masked fields can't be searched. */
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
import type { CurrentShape } from "../current_shape.ts";
import { exactJson } from "../../pipeline/exact_json.ts";
import { hides, MASKED, readRecord, shownPaths } from "../mask.ts";
import { LINES_PER_FILE, type OffsetPage, type Page, type Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import { cellOf, recordOf } from "./cells.ts";
import { addConditions, keysSql } from "./current_where.ts";
import { pathSql } from "./record_sql.ts";
import { columnName } from "./view_sql.ts";
import { baseTable, changesTable, currentTable, fileIdOf, fromRecords, idsOf, TEXT } from "../sql/tables.ts";
import { fieldsOf } from "../sql/shown.ts";
import { Terms } from "../sql/terms.ts";
import { boundOf, searchable, SqlCurrent } from "../sql/current.ts";
import { lineOf } from "../sql/records.ts";
import type { Bindable } from "../sql/sql.ts";
import { currentColumns, currentMeta, selected } from "../sql/columns.ts";

/** A selected row of the current state. */
type Read = Omit<CurrentRow, "key" | "record" | "cursor"> & {
  key: string;
  value: string | number | null;
  json: string;
  nul: Uint8Array | null;
};

export class PostgresCurrent extends SqlCurrent {
  async page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]> {
    const [shown, shape] = await this.of(pipeline);
    const terms = new Terms();
    const order = addConditions(terms, searchable(shown, shape), where);
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      const key = keysSql(terms.bind(JSON.stringify([cursor[1]])));
      const value = order === undefined ? "" : `${terms.bind(boundOf(cursor[0]))}, `;
      terms.addSql(
        `(${
          order === undefined ? "" : `${order}, `
        }c.key_order, c.key) ${sign} (${value}etl_key_order(${key}), ${key})`,
      );
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const by = [...order === undefined ? [] : [order], "c.key_order", "c.key"].map((term) =>
      `${term} ${way}`
    );
    const rows = await this.#rows(
      shown,
      order,
      `${terms} ORDER BY ${by.join(", ")} LIMIT ${terms.bind(page.limit)}`,
      terms.values,
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  async byKeys(pipeline: string, keys: readonly Key[]): Promise<CurrentRow[]> {
    const [shown] = await this.of(pipeline);
    return await this.#rows(
      shown,
      undefined,
      `WHERE c.key IN ${keysSql("$1")} ORDER BY c.key_order, c.key`,
      [JSON.stringify(keys.flatMap(asStored))],
    );
  }

  async changes(pipeline: string, of: ChangeFilter, page: Page<ChangeCursor>): Promise<ChangeRow[]> {
    const [{ masks }, shape] = await this.of(pipeline);
    const terms = new Terms();
    if (of.runId !== undefined) terms.add`x.move = (SELECT id FROM run_moves WHERE run_id = ${of.runId})`;
    if (of.key !== undefined) {
      terms.addSql(`x.key IN ${keysSql(terms.bind(JSON.stringify(asStored(of.key))))}`);
    }
    if (of.change !== undefined) terms.add`x.change = ${of.change}`;
    for (const [cursor, sign] of [[page.after, ">"], [page.before, "<"]] as const) {
      if (cursor === undefined) continue;
      const [move, key] = [terms.bind(cursor[0]), keysSql(terms.bind(JSON.stringify([cursor[1]])))];
      terms.addSql(`(x.move, x.key_order, x.key) ${sign} (${move}::bigint, etl_key_order(${key}), ${key})`);
    }
    const way = page.from === "end" ? "DESC" : "ASC";
    const read = await this.db.all<
      Omit<ChangeRow, "key" | "fields" | "cursor"> & { move: number; key: string; fields: string | null }
    >(
      `SELECT x.move, x.key, x.change, x.fields, x.before, x.after, m.run_id, m.at
       FROM ${changesTable(pipeline)} AS x JOIN run_moves AS m ON m.id = x.move
       ${terms} ORDER BY x.move ${way}, x.key_order ${way}, x.key ${way} LIMIT ${terms.bind(page.limit)}`,
      ...terms.values,
    );
    const rows = read.map(({ move, fields, ...row }): ChangeRow => ({
      ...row,
      key: hides(masks.processed, shape.key) ? MASKED : keyOf(row.key),
      fields: fields === null ? [] : shownPaths(JSON.parse(fields), masks.processed),
      cursor: [move, orderedOf(row.key)],
    }));
    return page.from === "end" ? rows.reverse() : rows;
  }

  async invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]> {
    const [, shape] = await this.of(pipeline);
    return await this.db.all<InvalidOfKey>(
      `SELECT record_id, run_id FROM (
         SELECT DISTINCT ON (md5(r.json)) r.id AS record_id, f.run_id FROM ${
        baseTable("invalid", pipeline)
      } AS r
         JOIN run_files AS f ON f.id = r.id / ${LINES_PER_FILE}
         WHERE r.same_as IS NULL AND etl_key(etl_record(r.json), ${pathSql(shape.key)}) IN ${keysSql("$1")}
         ORDER BY md5(r.json), r.id) AS first
       ORDER BY record_id DESC LIMIT $2`,
      JSON.stringify(asStored(key)),
      limit,
    );
  }

  async rawOf(pipeline: string, runId: string, key: Key): Promise<number | undefined> {
    const [, shape] = await this.of(pipeline);
    const file = await fileIdOf(this.db, runId, "raw");
    if (file === undefined) return undefined;
    const found = await this.db.get<{ id: number }>(
      `SELECT r.id FROM ${fromRecords("raw", pipeline)}
       WHERE r.id BETWEEN $1 AND $2 AND etl_key(etl_record(${TEXT}), ${pathSql(shape.key)}) IN ${
        keysSql("$3")
      }
       ORDER BY r.id DESC LIMIT 1`,
      ...idsOf(file),
      JSON.stringify(asStored(key)),
    );
    return found?.id;
  }

  protected async changeRows(
    shown: Shown,
    shape: CurrentShape,
    { limit, offset }: OffsetPage,
  ): Promise<Table> {
    const isHidden = hides(shown.masks.processed, shape.key);
    const rows = await this.db.all<
      { key: string; change: string; run_id: string; at: string; fields: string | null }
    >(
      `SELECT x.key, x.change, m.run_id, m.at, x.fields FROM ${changesTable(shown.name)} AS x
       JOIN run_moves AS m ON m.id = x.move ORDER BY x.move, x.key_order, x.key LIMIT $1 OFFSET $2`,
      limit,
      offset,
    );
    return {
      columns: ["key", "change", "run_id", "at", "fields"],
      rows: rows.map(({ key, change, run_id, at, fields }) => [
        isHidden ? MASKED : keyOf(key),
        change,
        run_id,
        at,
        fields === null ? null : JSON.stringify(shownPaths(JSON.parse(fields), shown.masks.processed)),
      ]),
    };
  }

  protected async currentRows(
    shown: Shown,
    shape: CurrentShape,
    { limit, offset }: OffsetPage,
  ): Promise<Table> {
    const columns = currentColumns(shown, shape, await fieldsOf(this.db, shown.name), columnName);
    const rows = await this.#read(
      shown.name,
      undefined,
      // selects the ids of the page first, so that skipped rows aren't joined
      `WHERE c.id IN (SELECT id FROM ${currentTable(shown.name)} ORDER BY key_order, key LIMIT $1 OFFSET $2)
       ORDER BY c.key_order, c.key`,
      [limit, offset],
    );
    return {
      columns: [...columns, ...currentMeta(shown.name)].map(({ name }) => name),
      rows: rows.map((row) => {
        const record = recordOf(lineOf(row), shown.masks.processed);
        return [
          ...columns.map(({ keys }) => cellOf(record, ...keys)),
          row.first_run,
          row.changed_run,
          row.seen_run,
          row.changed_at,
        ];
      }),
    };
  }

  async #rows(
    { name, masks, current }: Shown,
    order: string | undefined,
    rest: string,
    values: readonly Bindable[],
  ): Promise<CurrentRow[]> {
    const isHidden = hides(masks.processed, current!.key);
    return (await this.#read(name, order, rest, values)).map(({ json, nul, value, key, ...row }) => ({
      ...row,
      key: isHidden ? MASKED : keyOf(key),
      record: readRecord(lineOf({ json, nul }), masks.processed),
      cursor: [value, orderedOf(key)],
    }));
  }

  #read(
    name: string,
    order: string | undefined,
    rest: string,
    values: readonly Bindable[],
  ): Promise<Read[]> {
    return this.db.all<Read>(
      `SELECT c.key, c.record AS record_id, ${order ?? "NULL"} AS value, p.json, p.nul_line AS nul,
         ${selected(currentMeta(name))}
       FROM ${currentTable(name)} AS c JOIN ${baseTable("processed", name)} AS p ON p.id = c.record ${rest}`,
      ...values,
    );
  }
}

/** A key as it was, from its stored form (see `etl_key`). */
function keyOf(text: string): Key {
  if (text.startsWith("'")) return text.slice(1);
  return String(Number(text)) === text ? Number(text) : text;
}

/** A key in the form of a cursor. */
function orderedOf(text: string): Ordered {
  const key = keyOf(text);
  return typeof key === "string" && !text.startsWith("'") ? exactJson.rawJSON(key) : key;
}
