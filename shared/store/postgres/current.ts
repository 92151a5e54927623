/**
 * Reading the current state of a pipeline, and what changed in it. Records are masked; fields that are masked can't be looked for.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
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
import type { CurrentShape } from "../current_shape.ts";
import { exactJson, hides, MASKED, readRecord, shownPaths } from "../mask.ts";
import { LINES_PER_FILE, type Page, type Table } from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Current } from "../store.ts";
import { cellOf, recordOf } from "./cells.ts";
import { changesTable, CURRENT_META, currentTable, newestComplete, ofMove } from "./current_table.ts";
import { addConditions, keysSql, searchable } from "./current_where.ts";
import { baseTable, fromRecords, idsOf, lineOf, pathSql, TEXT } from "./record_sql.ts";
import type { Bindable, Session } from "./session.ts";
import { fieldsOf, type ShownPipelines } from "./shown.ts";
import { Terms } from "./terms.ts";
import { columnName } from "./view_sql.ts";

/** A row of the current state as it is selected. */
type Read = Omit<CurrentRow, "key" | "record" | "cursor"> & {
  key: string;
  value: string | number | null;
  json: string;
  nul: Uint8Array | null;
};

export class PostgresCurrent implements Current {
  /** Reads from `db`; `shown` knows the pipelines. */
  constructor(private readonly db: Session, private readonly shown: ShownPipelines) {}

  async pipelines(): Promise<string[]> {
    return pipelinesOf(await this.shown.get());
  }

  async table(name: string): Promise<{ pipeline: string; isChanges: boolean } | undefined> {
    const isChanges = name.endsWith("_changes");
    const pipeline = isChanges ? name.slice(0, -"_changes".length) : name;
    return (await this.shown.get()).get(pipeline)?.current ? { pipeline, isChanges } : undefined;
  }

  async fields(pipeline: string): Promise<Searchable[]> {
    return searchable(...await this.#of(pipeline)).map(({ column: _column, ...field }) => field);
  }

  async count(name: string): Promise<number> {
    const { pipeline, isChanges } = await this.table(name) ?? { pipeline: name, isChanges: false };
    await this.#of(pipeline);
    // of keys, those that were added or restored, but for those that were removed
    return (await this.db.get<{ n: number }>(
      `SELECT coalesce(sum(${
        isChanges ? "added + changed + removed + restored" : "added + restored - removed"
      }), 0)::bigint AS n FROM run_moves WHERE pipeline = $1`,
      pipeline,
    ))!.n;
  }

  async page(pipeline: string, where: Conditions, page: Page<CurrentCursor>): Promise<CurrentRow[]> {
    const [shown, shape] = await this.#of(pipeline);
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
    const [shown] = await this.#of(pipeline);
    return await this.#rows(
      shown,
      undefined,
      `WHERE c.key IN ${keysSql("$1")} ORDER BY c.key_order, c.key`,
      [JSON.stringify(keys.flatMap(asStored))],
    );
  }

  async changes(
    pipeline: string,
    of: { runId?: string | undefined; key?: Key | undefined; change?: ChangeRow["change"] | undefined },
    page: Page<ChangeCursor>,
  ): Promise<ChangeRow[]> {
    const [{ masks }, shape] = await this.#of(pipeline);
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

  async moves(runIds: readonly string[]): Promise<Map<string, MoveRow>> {
    const rows = await this.db.all<MoveRow>(
      "SELECT run_id, at, added, changed, removed, restored FROM run_moves WHERE run_id = ANY($1::text[])",
      runIds,
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async invalidOf(pipeline: string, key: Key, limit: number): Promise<InvalidOfKey[]> {
    const [, shape] = await this.#of(pipeline);
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
    const [, shape] = await this.#of(pipeline);
    const file = await this.db.get<{ id: number }>(
      "SELECT id FROM run_files WHERE run_id = $1 AND kind = 'raw'",
      runId,
    );
    if (file === undefined) return undefined;
    const found = await this.db.get<{ id: number }>(
      `SELECT r.id FROM ${fromRecords("raw", pipeline)}
       WHERE r.id BETWEEN $1 AND $2 AND etl_key(etl_record(${TEXT}), ${pathSql(shape.key)}) IN ${
        keysSql("$3")
      }
       ORDER BY r.id DESC LIMIT 1`,
      ...idsOf(file.id),
      JSON.stringify(asStored(key)),
    );
    return found?.id;
  }

  async tableRows(name: string, { limit, offset }: { limit: number; offset: number }): Promise<Table> {
    const { pipeline, isChanges } = (await this.table(name))!;
    const [shown, shape] = await this.#of(pipeline);
    if (!isChanges) return await this.#currentRows(shown, shape, limit, offset);
    const isHidden = hides(shown.masks.processed, shape.key);
    const table = await this.db.table(
      `SELECT x.key, x.change, m.run_id, m.at, x.fields FROM ${changesTable(pipeline)} AS x
       JOIN run_moves AS m ON m.id = x.move ORDER BY x.move, x.key_order, x.key LIMIT $1 OFFSET $2`,
      limit,
      offset,
    );
    const rows = table.rows.map(([key, change, runId, at, fields]) => [
      isHidden ? MASKED : keyOf(key as string),
      change!,
      runId!,
      at!,
      typeof fields === "string"
        ? JSON.stringify(shownPaths(JSON.parse(fields), shown.masks.processed))
        : null,
    ]);
    return { ...table, rows };
  }

  async #currentRows(shown: Shown, shape: CurrentShape, limit: number, offset: number): Promise<Table> {
    const fields = (await fieldsOf(this.db, shown.name)).filter((key) => !shown.added.includes(key));
    const nested = [shape.key, ...shape.columns.map(({ keys }) => keys)]
      .filter((keys) => keys.length > 1 && !hides(shown.masks.processed, keys));
    const taken = new Set([...CURRENT_META, ...shown.added]);
    const columns = [
      ...fields.map((key) => [columnName(key, taken), [key]] as const),
      ...shown.added.map((key) => [key, [key]] as const),
      ...nested.map((keys) => [columnName(keys.join("."), taken), keys] as const),
    ];
    const rows = await this.#read(
      shown.name,
      undefined,
      // the page of ids first: what is passed over isn't joined
      `WHERE c.id IN (SELECT id FROM ${currentTable(shown.name)} ORDER BY key_order, key LIMIT $1 OFFSET $2)
       ORDER BY c.key_order, c.key`,
      [limit, offset],
    );
    return {
      columns: [...columns.map(([name]) => name), ...CURRENT_META],
      rows: rows.map((row) => {
        const record = recordOf(lineOf(row), shown.masks.processed);
        return [
          ...columns.map(([, keys]) => cellOf(record, ...keys)),
          row.first_run,
          row.changed_run,
          row.seen_run,
          row.changed_at,
        ];
      }),
    };
  }

  /** @throws PermanentError where the pipeline has no current state. */
  async #of(pipeline: string): Promise<[Shown, CurrentShape]> {
    const all = await this.shown.get();
    const shown = all.get(pipeline);
    if (!shown?.current) {
      throw new PermanentError(
        `Cannot read the current state of "${pipeline}": wanted one of ${pipelinesOf(all).join(", ")}.`,
      );
    }
    return [shown, shown.current];
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
         ${ofMove("run_id", "c.first")} AS first_run, ${ofMove("run_id", "c.changed")} AS changed_run,
         ${ofMove("at", "c.changed")} AS changed_at,
         ${ofMove("run_id", `coalesce(c.seen, ${newestComplete(name)})`)} AS seen_run
       FROM ${currentTable(name)} AS c JOIN ${baseTable("processed", name)} AS p ON p.id = c.record ${rest}`,
      ...values,
    );
  }
}

function pipelinesOf(shown: ReadonlyMap<string, Shown>): string[] {
  return [...shown.values()].flatMap(({ name, current }) => current === null ? [] : [name]);
}

/** What `etl_key` made of a key, as it was. */
function keyOf(text: string): Key {
  if (text.startsWith("'")) return text.slice(1);
  return String(Number(text)) === text ? Number(text) : text;
}

/** A key as a cursor has it. */
function orderedOf(text: string): Ordered {
  const key = keyOf(text);
  return typeof key === "string" && !text.startsWith("'") ? exactJson.rawJSON(key) : key;
}

function boundOf(value: Ordered | null): Bindable {
  return typeof value === "object" && value !== null ? BigInt(JSON.stringify(value)) : value;
}
