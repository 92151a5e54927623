// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Reading records. Everything is masked, but for the one method whose name says that it isn't.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
import { FILE_KINDS, type FileKind, partsOfTable, type RecordTable } from "../../contracts/names.ts";
import { readRecord } from "../mask.ts";
import {
  type FileRow,
  LINES_PER_FILE,
  type Page,
  type RecordFilter,
  type RecordRow,
  type Table,
} from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Records } from "../store.ts";
import type { Bindable, Database } from "../../sqlite/database.ts";
import { plainRows } from "./plain_rows.ts";
import { baseTable, fromRecords, TEXT } from "./record_sql.ts";
import { fieldsOf, type ShownPipelines } from "./shown.ts";
import { keyColumns, META_COLUMNS, viewFrom } from "./views.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Lines of a file that are read at once. */
const LINES_AT_ONCE = 200;

export class SqliteRecords implements Records {
  /** Reads from `db`; `shown` knows the pipelines. */
  constructor(private readonly db: Database, private readonly shown: ShownPipelines) {}

  async pipelines(): Promise<ReadonlyMap<string, Shown>> {
    return this.shown.get();
  }

  async tables(): Promise<RecordTable[]> {
    return this.#tables();
  }

  async has(table: RecordTable): Promise<boolean> {
    return this.shown.get().has(partsOfTable(table)?.pipeline ?? "");
  }

  async page(table: RecordTable, filter: RecordFilter, page: Page<number>): Promise<RecordRow[]> {
    const terms: string[] = [];
    const values: Bindable[] = [];
    const add = (term: string, ...bound: Bindable[]) => {
      terms.push(term);
      values.push(...bound);
    };
    if (filter.runId !== undefined) {
      const file = this.#file(table, filter.runId);
      if (file === undefined) return [];
      add("r.id BETWEEN ? AND ?", file * LINES_PER_FILE, (file + 1) * LINES_PER_FILE - 1);
    }
    if (page.after !== undefined) add("r.id > ?", page.after);
    if (page.before !== undefined) add("r.id < ?", page.before);
    if (filter.reason !== undefined) {
      add(
        `('; ' || json_extract(iif(json_valid(${TEXT}), ${TEXT}, '{}'), '$.error_reason')) LIKE ? ESCAPE '\\'`,
        likeReason(filter.reason),
      );
    }
    const rows = this.#read(
      table,
      `${terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`} ORDER BY r.id ${
        page.from === "end" ? "DESC" : "ASC"
      } LIMIT ?`,
      [...values, page.limit],
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  async byIds(kind: FileKind, ids: readonly number[]): Promise<Map<number, RecordRow>> {
    const listed = JSON.stringify(ids);
    const pipelines = this.db.all<{ pipeline: string }>(
      `SELECT DISTINCT pipeline FROM run_files
       WHERE kind = ? AND id IN (SELECT value / ${LINES_PER_FILE} FROM json_each(?))`,
      kind,
      listed,
    );
    const rows = pipelines.flatMap(({ pipeline }) =>
      this.#read(`${kind}_${pipeline}`, "WHERE r.id IN (SELECT value FROM json_each(?))", [listed])
    );
    return new Map(rows.map((row) => [row.record_id, row]));
  }

  async count(table: RecordTable, runId?: string): Promise<number> {
    const { kind, shown } = this.#of(table);
    return this.db.get<{ n: number }>(
      `SELECT coalesce(sum(coalesce(kept, records)), 0) AS n FROM run_files
       WHERE kind = ?1 AND pipeline = ?2 AND (?3 IS NULL OR run_id = ?3)`,
      kind,
      shown.name,
      runId,
    )!.n;
  }

  /** Rows of the view, as everybody sees them with `sqlite3`: newest load last. */
  async rows(table: RecordTable, page: { limit: number; offset: number }): Promise<Table> {
    const { kind, shown } = this.#of(table);
    const columns = [...keyColumns(kind, fieldsOf(this.db, shown.name), shown), ...META_COLUMNS];
    const ids = `SELECT id FROM ${baseTable(kind, shown.name)} ORDER BY id LIMIT ? OFFSET ?`;
    return plainRows(this.db, columns, {
      id: "r.id",
      text: TEXT,
      rest: `${viewFrom(kind, shown.name)} WHERE r.id IN (${ids}) ORDER BY r.id`,
      mask: shown.masks[kind],
      view: `SELECT * FROM ${table} ORDER BY record_id LIMIT ? OFFSET ?`,
      viewOf: `SELECT record_id, * FROM ${table} WHERE record_id IN (SELECT value FROM json_each(?))`,
    }, page);
  }

  async correctionsOf(invalidIds: readonly number[]): Promise<Map<number, number[]>> {
    const found = new Map<number, number[]>(invalidIds.map((id) => [id, []]));
    const rows = this.db.all<{ raw_record_id: number; invalid_record_id: number }>(
      "SELECT * FROM record_corrections WHERE invalid_record_id IN (SELECT value FROM json_each(?)) ORDER BY raw_record_id",
      JSON.stringify(invalidIds),
    );
    for (const row of rows) found.get(row.invalid_record_id)?.push(row.raw_record_id);
    return found;
  }

  async correctedBy(rawIds: readonly number[]): Promise<Map<number, number>> {
    const rows = this.db.all<{ raw_record_id: number; invalid_record_id: number }>(
      "SELECT * FROM record_corrections WHERE raw_record_id IN (SELECT value FROM json_each(?))",
      JSON.stringify(rawIds),
    );
    return new Map(rows.map((row) => [row.raw_record_id, row.invalid_record_id]));
  }

  async unmaskedTexts(table: RecordTable, ids: readonly number[]): Promise<Map<number, string>> {
    const rows = this.db.all<{ id: number; json: string }>(
      `SELECT r.id, ${TEXT} AS json FROM ${
        this.#of(table).from
      } WHERE r.id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(ids),
    );
    return new Map(rows.map((row) => [row.id, row.json]));
  }

  async *unmaskedLines(
    file: Pick<FileRow, "id" | "kind" | "pipeline">,
  ): AsyncGenerator<{ line: number; text: string }> {
    const from = fromRecords(file.kind, file.pipeline);
    const first = file.id * LINES_PER_FILE;
    for (let after = first;;) {
      // as bytes: `node:sqlite` cuts a text at its first NUL
      const rows = this.db.all<{ id: number; json: Uint8Array }>(
        `SELECT r.id, CAST(${TEXT} AS BLOB) AS json FROM ${from} WHERE r.id > ? AND r.id < ? ORDER BY r.id LIMIT ${LINES_AT_ONCE}`,
        after,
        first + LINES_PER_FILE,
      );
      for (const { id, json } of rows) yield { line: id - first, text: decoder.decode(json) };
      if (rows.length < LINES_AT_ONCE) return;
      after = rows.at(-1)!.id;
    }
  }

  #tables(): RecordTable[] {
    return [...this.shown.get().keys()].flatMap((name) =>
      FILE_KINDS.map((kind) => `${kind}_${name}` as const)
    );
  }

  /** @throws PermanentError where no pipeline has this table. */
  #of(table: RecordTable): { from: string; kind: FileKind; shown: Shown } {
    const { kind, pipeline } = partsOfTable(table) ?? {};
    const shown = pipeline === undefined ? undefined : this.shown.get().get(pipeline);
    if (kind === undefined || shown === undefined) {
      throw new PermanentError(`Cannot read "${table}": wanted one of ${this.#tables().join(", ")}.`);
    }
    return { from: fromRecords(kind, shown.name), kind, shown };
  }

  #file(table: RecordTable, runId: string): number | undefined {
    return this.db.get<{ id: number }>(
      "SELECT id FROM run_files WHERE run_id = ? AND kind = ?",
      runId,
      this.#of(table).kind,
    )?.id;
  }

  #read(table: RecordTable, rest: string, values: Bindable[]): RecordRow[] {
    const { from, kind, shown } = this.#of(table);
    const mask = shown.masks[kind];
    return this.db.all<Omit<RecordRow, "record"> & { json: string }>(
      `SELECT r.id AS record_id, f.run_id, r.id % ${LINES_PER_FILE} AS line, f.loaded_at AS insertion_date, ${TEXT} AS json
       FROM ${from} JOIN run_files f ON f.id = r.id / ${LINES_PER_FILE} ${rest}`,
      ...values,
    ).map(({ json, ...meta }) => ({ ...meta, record: readRecord(json, mask) }));
  }
}

function likeReason(reason: string): string {
  const escaped = reason.replaceAll(/[\\%_]/g, "\\$&");
  const colon = escaped.indexOf(": ");
  return colon < 0 ? `%${escaped}%` : `%; ${escaped.slice(0, colon)}: %${escaped.slice(colon + 2)}%`;
}
