/**
 * Advisory locks of a transaction: what has to happen one after the other, whichever process does it.
 *
 * @module
 */
import type { Session } from "./session.ts";

/**
 * What is locked: the file of a run that is loaded, a run whose events are kept, a pipeline whose current state moves, and, shared by all who keep
 * events and deliveries, that nothing is told at all.
 */
const LOCKS = { file: 0x65746c31, run: 0x65746c32, pipeline: 0x65746c33, told: 0x65746c34 } as const;

/** Locks `name` of a kind until the transaction ends, after those that have it. `shared`: together with others that share it. */
export async function lockFor(
  session: Session,
  kind: keyof typeof LOCKS,
  name = "",
  { shared = false } = {},
): Promise<void> {
  await session.run(
    `SELECT pg_advisory_xact_lock${shared ? "_shared" : ""}($1::int, hashtext($2))`,
    LOCKS[kind],
    name,
  );
}
