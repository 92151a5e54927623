/**
 * Holding runs before their load, and what is decided on them.
 *
 * @module
 */
import type { Decide } from "../../contracts/messages.ts";
import type { Held, HoldRow } from "../rows.ts";
import type { Session } from "./session.ts";

/** Notes that a run is held. One that is held already stays as it is. */
export async function keepHeld(session: Session, held: Held): Promise<void> {
  await session.run(
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

/** Notes a decision, unless there is one already. Answers the hold with the decision that counts; undefined where the run isn't held. */
export async function keepDecision(
  session: Session,
  { run_id, decision, requested_by }: Pick<Decide, "run_id" | "decision" | "requested_by">,
  orderId: string,
): Promise<HoldRow | undefined> {
  await session.run(
    `UPDATE holds SET decision = $2, decided_by = $3, decided_at = $4, order_id = $5, samples = NULL
     WHERE run_id = $1 AND decision IS NULL`,
    run_id,
    decision,
    requested_by,
    new Date().toISOString(),
    orderId,
  );
  return await session.get<HoldRow>(
    `SELECT run_id, pipeline, reason, message, compared_with, held_at, decision, decided_by, decided_at, order_id
     FROM holds WHERE run_id = $1`,
    run_id,
  );
}
