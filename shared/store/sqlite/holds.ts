// deno-lint-ignore-file require-await -- the port is asynchronous, SQLite is not
/**
 * Runs that were held before their load, and what was decided on them.
 *
 * @module
 */
import type { Decide } from "../../contracts/messages.ts";
import type { Database } from "../../sqlite/database.ts";
import { readRecord } from "../mask.ts";
import type { Held, HoldRow } from "../rows.ts";
import type { Holds } from "../store.ts";
import type { ShownPipelines } from "./shown.ts";

const COLUMNS =
  "run_id, pipeline, reason, message, compared_with, held_at, decision, decided_by, decided_at, order_id";

const TO_LOAD = `decision = 'released' AND run_id IN
  (SELECT run_id FROM etl_runs WHERE loaded_at IS NULL AND status NOT IN ('COMPLETED', 'FAILED'))`;

export class SqliteHolds implements Holds {
  /** Reads from `db`; `shown` knows the pipelines. */
  constructor(private readonly db: Database, private readonly shown: ShownPipelines) {}

  async of(runId: string): Promise<HoldRow | undefined> {
    return this.db.get<HoldRow>(`SELECT ${COLUMNS} FROM holds WHERE run_id = ?`, runId);
  }

  async ofRuns(runIds: readonly string[]): Promise<Map<string, HoldRow>> {
    const rows = this.db.all<HoldRow>(
      `SELECT ${COLUMNS} FROM holds WHERE run_id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(runIds),
    );
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async inFront(pipeline: string): Promise<HoldRow | undefined> {
    return this.db.get<HoldRow>(
      `SELECT ${COLUMNS} FROM holds WHERE pipeline = ? AND (decision IS NULL OR ${TO_LOAD}) ORDER BY held_at LIMIT 1`,
      pipeline,
    );
  }

  async latest(): Promise<HoldRow[]> {
    return this.db.all<HoldRow>(
      `SELECT ${COLUMNS} FROM holds AS h WHERE held_at = (SELECT max(held_at) FROM holds WHERE pipeline = h.pipeline)
       ORDER BY pipeline`,
    );
  }

  async released(): Promise<HoldRow[]> {
    return this.db.all<HoldRow>(`SELECT ${COLUMNS} FROM holds WHERE ${TO_LOAD} ORDER BY held_at`);
  }

  async samples(runId: string): Promise<unknown[]> {
    const row = this.db.get<{ pipeline: string; samples: string | null }>(
      "SELECT pipeline, samples FROM holds WHERE run_id = ?",
      runId,
    );
    const mask = this.shown.get().get(row?.pipeline ?? "")?.masks.invalid;
    if (row?.samples == null || mask === undefined) return [];
    return (JSON.parse(row.samples) as string[]).map((line) => readRecord(line, mask));
  }
}

/** Notes that a run is held. One that is held already stays as it is. */
export function keepHeld(db: Database, held: Held): void {
  db.run(
    `INSERT INTO holds (run_id, pipeline, reason, message, samples, compared_with, held_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (run_id) DO NOTHING`,
    held.run_id,
    held.pipeline,
    held.reason,
    held.message,
    JSON.stringify(held.samples),
    held.compared_with,
    new Date().toISOString(),
  );
}

/** Notes a decision, unless there is one already. Answers the hold with the decision that counts; undefined where the run isn't held. */
export function keepDecision(
  db: Database,
  { run_id, decision, requested_by }: Pick<Decide, "run_id" | "decision" | "requested_by">,
  orderId: string,
): HoldRow | undefined {
  db.run(
    `UPDATE holds SET decision = ?2, decided_by = ?3, decided_at = ?4, order_id = ?5, samples = NULL
     WHERE run_id = ?1 AND decision IS NULL`,
    run_id,
    decision,
    requested_by,
    new Date().toISOString(),
    orderId,
  );
  return db.get<HoldRow>(`SELECT ${COLUMNS} FROM holds WHERE run_id = ?`, run_id);
}
