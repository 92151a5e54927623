/** Reads runs, newest first, and what belongs to them. Reads for several runs take one query. */
import type { RunEvent } from "../../contracts/messages.ts";
import type { DeliveryRow, FileRow, OffsetPage, Page, RunCursor, RunFilter, RunRow } from "../rows.ts";
import type { Runs } from "../store.ts";
import type { Bindable, Sql } from "./sql.ts";
import { Terms } from "./terms.ts";

export class SqlRuns implements Runs {
  constructor(private readonly db: Sql) {}

  list(filter: RunFilter, { limit, offset }: OffsetPage): Promise<RunRow[]> {
    const where = this.#conditions(filter);
    return this.#runs(
      `${where} ORDER BY run_timestamp DESC, id DESC LIMIT ${where.bind(limit)} OFFSET ${where.bind(offset)}`,
      where.values,
    );
  }

  async count(filter: RunFilter = {}): Promise<number> {
    const { loaded = false, ...others } = filter;
    const where = this.#conditions(filter);
    const counted = String(this.#conditions(others)) === ""
      ? this.db.get<{ n: number }>(this.db.dialect.countRuns(loaded))
      : this.db.get<{ n: number }>(`SELECT count(*) AS n FROM etl_runs ${where}`, ...where.values);
    return (await counted)!.n;
  }

  async page(filter: RunFilter, page: Page<RunCursor>): Promise<RunRow[]> {
    const where = this.#conditions(filter, page);
    const order = page.from === "end" ? "ASC" : "DESC";
    const rows = await this.#runs(
      `${where} ORDER BY run_timestamp ${order}, id ${order} LIMIT ${where.bind(page.limit)}`,
      where.values,
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  async byId(id: number): Promise<RunRow | undefined> {
    return (await this.#runs("WHERE id = $1", [id]))[0];
  }

  async byRunId(runId: string): Promise<RunRow | undefined> {
    return (await this.#runs("WHERE run_id = $1", [runId]))[0];
  }

  async byRawFile(name: string): Promise<RunRow | undefined> {
    const rows = await this.#runs(
      `AS run WHERE raw_file = $1 OR (raw_file IS NULL AND EXISTS (
         SELECT 1 FROM run_events WHERE run_id = run.run_id AND type = 'phase_completed' AND phase = 'EXTRACTING'
           AND ${this.db.dialect.textIn("body", ["detail", "raw_file"])} = $1))
       ORDER BY id LIMIT 1`,
      [name],
    );
    return rows[0];
  }

  async lastLoaded(pipeline: string, except = ""): Promise<RunRow | undefined> {
    const rows = await this.#runs(
      `WHERE pipeline = $1 AND loaded_at IS NOT NULL AND correction_of IS NULL AND run_id <> $2
       ORDER BY run_timestamp DESC, id DESC LIMIT 1`,
      [pipeline, except],
    );
    return rows[0];
  }

  async byRunIds(runIds: readonly string[]): Promise<Map<string, RunRow>> {
    const rows = await this.#runs(`WHERE ${this.#isIn("run_id")}`, [runIds]);
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async eventsOf(runIds: readonly string[]): Promise<Map<string, RunEvent[]>> {
    const rows = await this.db.all<{ run_id: string; body: string }>(
      `SELECT run_id, body FROM run_events WHERE ${this.#isIn("run_id")} ORDER BY run_id, at, seq`,
      runIds,
    );
    return new Map(
      [...grouped(rows, runIds)].map(([runId, events]) => [runId, events.map((e) => JSON.parse(e.body))]),
    );
  }

  async filesOf(runIds: readonly string[]): Promise<Map<string, FileRow[]>> {
    const rows = await this.db.all<FileRow>(
      `SELECT * FROM run_files WHERE ${this.#isIn("run_id")} ORDER BY run_id, id`,
      runIds,
    );
    return grouped(rows, runIds);
  }

  async loadedFiles(): Promise<string[]> {
    const rows = await this.db.all<{ processed_file: string }>(
      "SELECT processed_file FROM etl_runs WHERE loaded_at IS NOT NULL AND processed_file IS NOT NULL",
    );
    return rows.map(({ processed_file }) => processed_file);
  }

  async deliveriesOf(runIds: readonly string[]): Promise<Map<string, DeliveryRow[]>> {
    const rows = await this.db.all<DeliveryRow>(
      `SELECT * FROM deliveries WHERE ${this.#isIn("run_id")} ORDER BY run_id, id`,
      runIds,
    );
    return grouped(rows, runIds);
  }

  deliveriesOfContent(sha256: string): Promise<DeliveryRow[]> {
    return this.db.all<DeliveryRow>("SELECT * FROM deliveries WHERE sha256 = $1 ORDER BY id DESC", sha256);
  }

  async correctionsOf(runIds: readonly string[]): Promise<Map<string, RunRow[]>> {
    const rows = await this.#runs(
      `WHERE ${this.#isIn("correction_of")} ORDER BY run_timestamp DESC, id DESC`,
      [runIds],
    );
    return grouped(rows, runIds, (row) => row.correction_of!);
  }

  #runs(rest: string, values: readonly Bindable[]): Promise<RunRow[]> {
    return this.db.all<RunRow>(`SELECT * FROM etl_runs ${rest}`, ...values);
  }

  #isIn(column: string, parameter = "$1"): string {
    return this.db.dialect.isIn(column, parameter, "text");
  }

  #conditions(filter: RunFilter, page?: Page<RunCursor>): Terms {
    const terms = new Terms();
    if (filter.pipeline !== undefined) terms.add`pipeline = ${filter.pipeline}`;
    if (filter.status?.length === 1) terms.add`status = ${filter.status[0]}`;
    else if (filter.status !== undefined) terms.addSql(this.#isIn("status", terms.bind(filter.status)));
    if (filter.since !== undefined) terms.add`run_timestamp >= ${filter.since}`;
    if (filter.until !== undefined) terms.add`run_timestamp < ${filter.until}`;
    if (filter.loaded) terms.addSql("loaded_at IS NOT NULL");
    if (page?.after !== undefined) {
      terms.add`(run_timestamp, id) < (${page.after.run_timestamp}, ${page.after.id})`;
    }
    if (page?.before !== undefined) {
      terms.add`(run_timestamp, id) > (${page.before.run_timestamp}, ${page.before.id})`;
    }
    return terms;
  }
}

function grouped<R extends { run_id: string }>(
  rows: readonly R[],
  runIds: readonly string[],
  keyOf: (row: R) => string = (row) => row.run_id,
): Map<string, R[]> {
  const groups = new Map<string, R[]>(runIds.map((id) => [id, []]));
  for (const row of rows) groups.get(keyOf(row))?.push(row);
  return groups;
}
