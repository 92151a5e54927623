/** Reads records. Everything is masked, except by methods whose name says otherwise. */
import { PermanentError } from "../../errors/errors.ts";
import { FILE_KINDS, type FileKind, partsOfTable, type RecordTable } from "../../contracts/names.ts";
import { readRecord } from "../mask.ts";
import {
  type FileRow,
  LINES_PER_FILE,
  type OffsetPage,
  type Page,
  type RecordFilter,
  type RecordRow,
  type Table,
} from "../rows.ts";
import type { Shown } from "../shown.ts";
import type { Records } from "../store.ts";
import type { ShownPipelines } from "./shown.ts";
import type { Bindable, Sql } from "./sql.ts";
import { fileIdOf, fromRecords, idsOf, TEXT } from "./tables.ts";
import { Terms } from "./terms.ts";

/** Lines of a file per query. */
const LINES_AT_ONCE = 200;

/** A selected record: its text, and its line as bytes if that has NUL characters. */
type Read = Omit<RecordRow, "record"> & { json: string; nul: Uint8Array | null };

/** The line of a record. */
export function lineOf({ json, nul }: { json: string; nul: Uint8Array | null }): string {
  return nul === null ? json : new TextDecoder("utf-8", { ignoreBOM: true }).decode(nul);
}

export abstract class SqlRecords implements Records {
  constructor(protected readonly db: Sql, private readonly shown: ShownPipelines) {}

  /** The line of a record of `fromRecords` as bytes if it has NUL characters, else NULL. */
  protected abstract readonly nulLine: string;

  /** Whether the reasons of a record of `fromRecords` match the LIKE pattern bound to `parameter`; case is ignored, `\\` escapes. */
  protected abstract hasReason(parameter: string): string;

  /** A page of rows of a view. */
  protected abstract rowsOf(kind: FileKind, shown: Shown, page: OffsetPage): Promise<Table>;

  pipelines(): Promise<ReadonlyMap<string, Shown>> {
    return this.shown.get();
  }

  async tables(): Promise<RecordTable[]> {
    return tablesOf(await this.shown.get());
  }

  async has(table: RecordTable): Promise<boolean> {
    return (await this.shown.get()).has(partsOfTable(table)?.pipeline ?? "");
  }

  async page(table: RecordTable, filter: RecordFilter, page: Page<number>): Promise<RecordRow[]> {
    const { kind, shown } = await this.#of(table);
    const where = new Terms();
    if (filter.runId !== undefined) {
      const file = await fileIdOf(this.db, filter.runId, kind);
      if (file === undefined) return [];
      const [first, last] = idsOf(file);
      where.add`r.id BETWEEN ${first} AND ${last}`;
    }
    if (page.after !== undefined) where.add`r.id > ${page.after}`;
    if (page.before !== undefined) where.add`r.id < ${page.before}`;
    if (filter.reason !== undefined) {
      where.addSql(this.hasReason(where.bind(likeReason(filter.reason))));
    }
    const order = page.from === "end" ? "DESC" : "ASC";
    const rows = await this.read(
      kind,
      shown.name,
      `${where} ORDER BY r.id ${order} LIMIT ${where.bind(page.limit)}`,
      where.values,
    );
    const records = rows.map((row) => masked(row, shown, kind));
    return page.from === "end" ? records.reverse() : records;
  }

  async byIds(kind: FileKind, ids: readonly number[]): Promise<Map<number, RecordRow>> {
    const files = [...new Set(ids.map((id) => Math.floor(id / LINES_PER_FILE)))];
    const pipelines = await this.db.all<{ pipeline: string }>(
      `SELECT DISTINCT pipeline FROM run_files WHERE kind = $1 AND ${this.#isIn("id", "$2")}`,
      kind,
      files,
    );
    const known = await this.shown.get();
    const found = await Promise.all(pipelines.map(async ({ pipeline }) => {
      const shown = known.get(pipeline);
      if (shown === undefined) return [];
      const rows = await this.read(kind, pipeline, `WHERE ${this.#isIn("r.id")} ORDER BY r.id`, [ids]);
      return rows.map((row) => masked(row, shown, kind));
    }));
    return new Map(found.flat().map((row) => [row.record_id, row]));
  }

  async count(table: RecordTable, runId?: string): Promise<number> {
    const { kind, shown } = await this.#of(table);
    const where = new Terms();
    where.add`kind = ${kind} AND pipeline = ${shown.name}`;
    if (runId !== undefined) where.add`run_id = ${runId}`;
    return (await this.db.get<{ n: number }>(
      `SELECT CAST(coalesce(sum(coalesce(kept, records)), 0) AS BIGINT) AS n FROM run_files ${where}`,
      ...where.values,
    ))!.n;
  }

  async rows(table: RecordTable, page: OffsetPage): Promise<Table> {
    const { kind, shown } = await this.#of(table);
    return await this.rowsOf(kind, shown, page);
  }

  async correctionsOf(invalidIds: readonly number[]): Promise<Map<number, number[]>> {
    const found = new Map<number, number[]>(invalidIds.map((id) => [id, []]));
    const rows = await this.db.all<{ raw_record_id: number; invalid_record_id: number }>(
      `SELECT * FROM record_corrections WHERE ${this.#isIn("invalid_record_id")} ORDER BY raw_record_id`,
      invalidIds,
    );
    for (const row of rows) found.get(row.invalid_record_id)?.push(row.raw_record_id);
    return found;
  }

  async correctedBy(rawIds: readonly number[]): Promise<Map<number, number>> {
    const rows = await this.db.all<{ raw_record_id: number; invalid_record_id: number }>(
      `SELECT * FROM record_corrections WHERE ${this.#isIn("raw_record_id")}`,
      rawIds,
    );
    return new Map(rows.map((row) => [row.raw_record_id, row.invalid_record_id]));
  }

  async unmaskedTexts(table: RecordTable, ids: readonly number[]): Promise<Map<number, string>> {
    const { kind, shown } = await this.#of(table);
    const rows = await this.read(kind, shown.name, `WHERE ${this.#isIn("r.id")}`, [ids]);
    return new Map(rows.map((row) => [row.record_id, lineOf(row)]));
  }

  async *unmaskedLines(
    { id, kind, pipeline }: Pick<FileRow, "id" | "kind" | "pipeline">,
  ): AsyncGenerator<{ line: number; text: string }> {
    const [first, last] = idsOf(id);
    for (let after = first;;) {
      const rows = await this.read(
        kind,
        pipeline,
        `WHERE r.id > $1 AND r.id <= $2 ORDER BY r.id LIMIT ${LINES_AT_ONCE}`,
        [after, last],
      );
      for (const row of rows) yield { line: row.line, text: lineOf(row) };
      if (rows.length < LINES_AT_ONCE) return;
      after = rows.at(-1)!.record_id;
    }
  }

  /** @throws PermanentError if no pipeline has this table. */
  async #of(table: RecordTable): Promise<{ kind: FileKind; shown: Shown }> {
    const all = await this.shown.get();
    const { kind, pipeline } = partsOfTable(table) ?? {};
    const shown = pipeline === undefined ? undefined : all.get(pipeline);
    if (kind === undefined || shown === undefined) {
      throw new PermanentError(`Cannot read "${table}": wanted one of ${tablesOf(all).join(", ")}.`);
    }
    return { kind, shown };
  }

  #isIn(column: string, parameter = "$1"): string {
    return this.db.dialect.isIn(column, parameter, "bigint");
  }

  /** Records of `fromRecords` with their files. `rest` follows FROM. */
  protected read(
    kind: FileKind,
    pipeline: string,
    rest: string,
    values: readonly Bindable[],
  ): Promise<Read[]> {
    return this.db.all<Read>(
      `SELECT r.id AS record_id, f.run_id, r.id % ${LINES_PER_FILE} AS line, f.loaded_at AS insertion_date,
         ${TEXT} AS json, ${this.nulLine} AS nul
       FROM ${fromRecords(kind, pipeline)} JOIN run_files AS f ON f.id = r.id / ${LINES_PER_FILE} ${rest}`,
      ...values,
    );
  }
}

function tablesOf(shown: ReadonlyMap<string, Shown>): RecordTable[] {
  return [...shown.keys()].flatMap((name) => FILE_KINDS.map((kind) => `${kind}_${name}` as const));
}

function masked({ json, nul, ...meta }: Read, shown: Shown, kind: FileKind): RecordRow {
  return { ...meta, record: readRecord(lineOf({ json, nul }), shown.masks[kind]) };
}

/** Escapes the special characters of LIKE with `\`. */
function likeReason(reason: string): string {
  const escaped = reason.replaceAll(/[\\%_]/g, "\\$&");
  const colon = escaped.indexOf(": ");
  return colon < 0 ? `%${escaped}%` : `%; ${escaped.slice(0, colon)}: %${escaped.slice(colon + 2)}%`;
}
