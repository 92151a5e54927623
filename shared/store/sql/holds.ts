/** Holds of runs before their load, and the decisions on them. */
import type { Decide } from "../../contracts/messages.ts";
import { readRecord } from "../mask.ts";
import type { Held, HoldRow } from "../rows.ts";
import type { Holds } from "../store.ts";
import type { ShownPipelines } from "./shown.ts";
import type { Bindable, Sql } from "./sql.ts";

/** The columns of a hold, except its samples. */
const HOLD =
  "SELECT run_id, pipeline, reason, message, compared_with, held_at, decision, decided_by, decided_at, order_id FROM holds AS h";

const TO_LOAD = `decision = 'released' AND run_id IN
  (SELECT run_id FROM etl_runs WHERE loaded_at IS NULL AND status NOT IN ('COMPLETED', 'FAILED'))`;

export class SqlHolds implements Holds {
  constructor(private readonly db: Sql, private readonly shown: ShownPipelines) {}

  async of(runId: string): Promise<HoldRow | undefined> {
    return (await this.#holds("WHERE run_id = $1", runId))[0];
  }

  async ofRuns(runIds: readonly string[]): Promise<Map<string, HoldRow>> {
    const rows = await this.#holds(`WHERE ${this.db.dialect.isIn("run_id", "$1", "text")}`, runIds);
    return new Map(rows.map((row) => [row.run_id, row]));
  }

  async inFront(pipeline: string): Promise<HoldRow | undefined> {
    const rows = await this.#holds(
      `WHERE pipeline = $1 AND (decision IS NULL OR ${TO_LOAD}) ORDER BY held_at LIMIT 1`,
      pipeline,
    );
    return rows[0];
  }

  latest(): Promise<HoldRow[]> {
    return this.#holds(
      "WHERE held_at = (SELECT max(held_at) FROM holds WHERE pipeline = h.pipeline) ORDER BY pipeline",
    );
  }

  released(): Promise<HoldRow[]> {
    return this.#holds(`WHERE ${TO_LOAD} ORDER BY held_at`);
  }

  async samples(runId: string): Promise<unknown[]> {
    const row = await this.db.get<{ pipeline: string; samples: string | null }>(
      "SELECT pipeline, samples FROM holds WHERE run_id = $1",
      runId,
    );
    const mask = (await this.shown.get()).get(row?.pipeline ?? "")?.masks.invalid;
    if (row?.samples == null || mask === undefined) return [];
    return (JSON.parse(row.samples) as string[]).map((line) => readRecord(line, mask));
  }

  #holds(rest: string, ...values: Bindable[]): Promise<HoldRow[]> {
    return this.db.all<HoldRow>(`${HOLD} ${rest}`, ...values);
  }
}

/** Stores the hold of a run. An existing hold stays unchanged. */
export async function keepHeld(sql: Sql, held: Held): Promise<void> {
  await sql.run(
    `INSERT INTO holds (run_id, pipeline, reason, message, samples, compared_with, held_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run_id) DO NOTHING`,
    held.run_id,
    held.pipeline,
    held.reason,
    held.message,
    JSON.stringify(held.samples),
    held.compared_with,
    new Date().toISOString(),
  );
}

/** Stores a decision, unless there is one. Returns the hold with the decision that counts; undefined if the run isn't held. */
export async function keepDecision(
  sql: Sql,
  { run_id, decision, requested_by }: Pick<Decide, "run_id" | "decision" | "requested_by">,
  orderId: string,
): Promise<HoldRow | undefined> {
  await sql.run(
    `UPDATE holds SET decision = $2, decided_by = $3, decided_at = $4, order_id = $5, samples = NULL
     WHERE run_id = $1 AND decision IS NULL`,
    run_id,
    decision,
    requested_by,
    new Date().toISOString(),
    orderId,
  );
  return await sql.get<HoldRow>(
    `${HOLD} WHERE run_id = $1`,
    run_id,
  );
}
