/**
 * Reading which runs were held before their load, and what was decided on them.
 *
 * @module
 */
import { readRecord } from "../mask.ts";
import type { HoldRow } from "../rows.ts";
import type { Holds } from "../store.ts";
import type { Bindable, Session } from "./session.ts";
import type { ShownPipelines } from "./shown.ts";

/** What a hold is read by: all but its samples. */
export const HOLD =
  "SELECT run_id, pipeline, reason, message, compared_with, held_at, decision, decided_by, decided_at, order_id FROM holds AS h";

const TO_LOAD = `decision = 'released' AND run_id IN
  (SELECT run_id FROM etl_runs WHERE loaded_at IS NULL AND status NOT IN ('COMPLETED', 'FAILED'))`;

export class PostgresHolds implements Holds {
  /** Reads from `db`; `shown` knows the pipelines. */
  constructor(private readonly db: Session, private readonly shown: ShownPipelines) {}

  async of(runId: string): Promise<HoldRow | undefined> {
    return (await this.#holds("WHERE run_id = $1", runId))[0];
  }

  async ofRuns(runIds: readonly string[]): Promise<Map<string, HoldRow>> {
    const rows = await this.#holds("WHERE run_id = ANY($1::text[])", runIds);
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
