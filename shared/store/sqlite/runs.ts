// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Reading runs, newest first, and what belongs to them. Reads for several runs at once take one query.
 *
 * @module
 */
import type { RunEvent } from "../../contracts/messages.ts";
import type { Bindable, Database } from "../../sqlite/database.ts";
import type { DeliveryRow, FileRow, Page, RunCursor, RunFilter, RunRow } from "../rows.ts";
import type { Runs } from "../store.ts";

export class SqliteRuns implements Runs {
  /** Reads from `db`. */
  constructor(private readonly db: Database) {}

  async list(filter: RunFilter, page: { limit: number; offset: number }): Promise<RunRow[]> {
    const where = conditions(filter);
    return this.db.all<RunRow>(
      `SELECT * FROM etl_runs ${where.sql} ORDER BY run_timestamp DESC, id DESC LIMIT ? OFFSET ?`,
      ...where.values,
      page.limit,
      page.offset,
    );
  }

  async count(filter: RunFilter = {}): Promise<number> {
    const { loaded, ...others } = filter;
    if (loaded && conditions(others).sql === "") return this.#countLoaded();
    const where = conditions(filter);
    return this.db.get<{ n: number }>(`SELECT count(*) AS n FROM etl_runs ${where.sql}`, ...where.values)!.n;
  }

  async page(filter: RunFilter, page: Page<RunCursor>): Promise<RunRow[]> {
    const where = conditions(filter, page);
    const order = page.from === "end" ? "ASC" : "DESC";
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs ${where.sql} ORDER BY run_timestamp ${order}, id ${order} LIMIT ?`,
      ...where.values,
      page.limit,
    );
    return page.from === "end" ? rows.reverse() : rows;
  }

  async byId(id: number): Promise<RunRow | undefined> {
    return this.db.get<RunRow>("SELECT * FROM etl_runs WHERE id = ?", id);
  }

  async byRunId(runId: string): Promise<RunRow | undefined> {
    return this.db.get<RunRow>("SELECT * FROM etl_runs WHERE run_id = ?", runId);
  }

  async byRawFile(name: string): Promise<RunRow | undefined> {
    return this.db.get<RunRow>(
      `SELECT * FROM etl_runs AS run WHERE raw_file = ?1 OR (raw_file IS NULL AND EXISTS (
         SELECT 1 FROM run_events WHERE run_id = run.run_id AND type = 'phase_completed' AND phase = 'EXTRACTING'
           AND json_extract(body, '$.detail.raw_file') = ?1))
       ORDER BY id LIMIT 1`,
      name,
    );
  }

  async lastLoaded(pipeline: string, except = ""): Promise<RunRow | undefined> {
    return this.db.get<RunRow>(
      `SELECT * FROM etl_runs WHERE pipeline = ? AND loaded_at IS NOT NULL AND correction_of IS NULL AND run_id <> ?
       ORDER BY run_timestamp DESC, id DESC LIMIT 1`,
      pipeline,
      except,
    );
  }

  async byRunIds(runIds: readonly string[]): Promise<Map<string, RunRow>> {
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs WHERE run_id IN ${LISTED}`,
      JSON.stringify(runIds),
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async eventsOf(runIds: readonly string[]): Promise<Map<string, RunEvent[]>> {
    const rows = this.db.all<{ run_id: string; body: string }>(
      `SELECT run_id, body FROM run_events WHERE run_id IN ${LISTED} ORDER BY run_id, at, seq`,
      JSON.stringify(runIds),
    );
    return new Map(
      [...grouped(rows, runIds)].map(([runId, events]) => [runId, events.map((e) => JSON.parse(e.body))]),
    );
  }

  async filesOf(runIds: readonly string[]): Promise<Map<string, FileRow[]>> {
    const rows = this.db.all<FileRow>(
      `SELECT * FROM run_files WHERE run_id IN ${LISTED} ORDER BY run_id, id`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds);
  }

  async loadedFiles(): Promise<string[]> {
    return this.db.all<{ processed_file: string }>(
      "SELECT processed_file FROM etl_runs WHERE loaded_at IS NOT NULL AND processed_file IS NOT NULL",
    ).map(({ processed_file }) => processed_file);
  }

  async deliveriesOf(runIds: readonly string[]): Promise<Map<string, DeliveryRow[]>> {
    const rows = this.db.all<DeliveryRow>(
      `SELECT * FROM deliveries WHERE run_id IN ${LISTED} ORDER BY run_id, id`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds);
  }

  async deliveriesOfContent(sha256: string): Promise<DeliveryRow[]> {
    return this.db.all<DeliveryRow>("SELECT * FROM deliveries WHERE sha256 = ? ORDER BY id DESC", sha256);
  }

  async correctionsOf(runIds: readonly string[]): Promise<Map<string, RunRow[]>> {
    const rows = this.db.all<RunRow>(
      `SELECT * FROM etl_runs WHERE correction_of IN ${LISTED} ORDER BY run_timestamp DESC, id DESC`,
      JSON.stringify(runIds),
    );
    return grouped(rows, runIds, (row) => row.correction_of!);
  }

  /** All but the few that weren't: SQLite goes through what it counts one by one, but for the rows of a whole table. */
  #countLoaded(): number {
    return this.db.get<{ n: number }>(
      `SELECT (SELECT count(*) FROM etl_runs) -
         (SELECT count(*) FROM etl_runs WHERE (loaded_at IS NULL) = 1) AS n`,
    )!.n;
  }
}

/** A list of ids, bound as a JSON array: one statement serves every length. */
const LISTED = "(SELECT value FROM json_each(?))";

function conditions(filter: RunFilter, page?: Page<RunCursor>): { sql: string; values: Bindable[] } {
  const terms: string[] = [];
  const values: Bindable[] = [];
  const add = (term: string, ...bound: Bindable[]) => {
    terms.push(term);
    values.push(...bound);
  };
  if (filter.pipeline !== undefined) add("pipeline = ?", filter.pipeline);
  if (filter.status?.length === 1) add("status = ?", filter.status[0]);
  else if (filter.status !== undefined) add(`status IN ${LISTED}`, JSON.stringify(filter.status));
  if (filter.since !== undefined) add("run_timestamp >= ?", filter.since);
  if (filter.until !== undefined) add("run_timestamp < ?", filter.until);
  if (filter.loaded) add("loaded_at IS NOT NULL");
  if (page?.after !== undefined) add("(run_timestamp, id) < (?, ?)", page.after.run_timestamp, page.after.id);
  if (page?.before !== undefined) {
    add("(run_timestamp, id) > (?, ?)", page.before.run_timestamp, page.before.id);
  }
  return { sql: terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`, values };
}

function grouped<Row extends { run_id: string }>(
  rows: readonly Row[],
  runIds: readonly string[],
  keyOf: (row: Row) => string = (row) => row.run_id,
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>(runIds.map((id) => [id, []]));
  for (const row of rows) groups.get(keyOf(row))?.push(row);
  return groups;
}
