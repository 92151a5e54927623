/** Writes of the saver's actors about runs. */
import { timeOfRun } from "../../contracts/ids.ts";
import type { RunEvent } from "../../contracts/messages.ts";
import { parseExact } from "../../pipeline/exact_json.ts";
import { LINES_PER_FILE } from "../rows.ts";
import { isRepeated, type RunState, STATE_COLUMNS, stateAfter, step } from "../run_state.ts";
import type { Delivered, LoadedRun, RunToLoad } from "../writes.ts";
import { type Sql, upsert } from "./sql.ts";
import { fileIdOf, fromRecords, idsOf, TEXT } from "./tables.ts";

/** Number of records read for their keys if the keys weren't reported. */
const SAMPLE = 100;

/** Creates the run's row if it is missing, such as for a run that another program started. */
export async function announceRun(sql: Sql, run: RunToLoad): Promise<void> {
  await sql.lock("run", run.runId);
  await createRun(sql, run.runId, run.at, {
    status: "LOADING",
    status_at: run.at,
    source: run.source,
    correction_of: run.correctionOf,
    pipeline: run.pipeline,
  });
}

/**
 * Creates a run's row if it is missing. The run counts from the time in its id, else from `seenAt`, but no run was requested after now: with a time
 * from a clock that was ahead, it would count as newer than those that follow it, and the current state would ignore them.
 */
async function createRun(
  sql: Sql,
  runId: string,
  seenAt: string,
  row: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const columns = Object.keys(row);
  // Not an upsert: an insert with a conflict uses up an id, and people see the ids of runs.
  await sql.run(
    `INSERT INTO etl_runs (run_id, run_timestamp, ${columns.join(", ")})
     SELECT $1, ${sql.dialect.notAhead("$2")}, ${columns.map((_, n) => `$${n + 3}`).join(", ")}
     WHERE NOT EXISTS (SELECT 1 FROM etl_runs WHERE run_id = $1)`,
    runId,
    timeOfRun(runId) ?? seenAt,
    ...Object.values(row),
  );
}

/** Marks a run as loaded, and stores which records its own correct. */
export async function noteLoaded(sql: Sql, run: LoadedRun): Promise<void> {
  await sql.run(
    `UPDATE etl_runs SET raw_file = $2, processed_file = $3, dlq_file = $4, valid_count = $5, invalid_count = $6,
       source = coalesce(source, $7), correction_of = coalesce(correction_of, $8), loaded_at = coalesce(loaded_at, $9),
       lookup_sha256 = $10, rules_sha256 = $11, pipeline = $12, since = coalesce(since, $13),
       completeness = coalesce(completeness, $14)
     WHERE run_id = $1`,
    run.runId,
    run.rawFile,
    run.processedFile,
    run.dlqFile,
    run.validCount,
    run.invalidCount,
    run.source,
    run.correctionOf,
    new Date().toISOString(),
    run.lookupSha256,
    run.rulesSha256,
    run.pipeline,
    run.since && JSON.stringify(run.since),
    run.completeness && JSON.stringify(run.completeness),
  );
  if (run.correctionOf !== undefined && run.corrects !== undefined) {
    await linkCorrections(sql, run.runId, run.correctionOf, run.corrects);
  }
}

/**
 * Stores events and updates the rows of their runs, in the transaction of `sql`. A lock serializes the events of a run, so its row is computed from
 * all stored ones.
 */
export async function record(sql: Sql, events: readonly RunEvent[]): Promise<void> {
  await sql.lock("events", "", { shared: true });
  // always in the same order, which prevents deadlocks between batches
  for (const runId of [...new Set(events.map((event) => event.run_id))].sort()) {
    await sql.lock("run", runId);
  }
  const [event, ...others] = events;
  const before = event !== undefined && others.length === 0 ? await stateBefore(sql, event) : undefined;
  for (const runId of await keepEvents(sql, events)) {
    const state = before ? step(before, event!) : await stateOf(sql, runId);
    await writeRunState(sql, runId, state);
  }
}

/** A run's state, from all its stored events. If old events were removed, the state computed from them is the start. */
async function stateOf(sql: Sql, runId: string): Promise<RunState> {
  const events = await eventsOf(sql, runId);
  const kept = await sql.get<{ state: string }>("SELECT state FROM run_states WHERE run_id = $1", runId);
  if (kept === undefined) return stateAfter(events);
  const from: RunState = JSON.parse(kept.state);
  return stateAfter(events.filter(({ published_at }) => published_at > from.status_at), from);
}

/** The state in a run's row, if `event` can be applied to it in one step. */
async function stateBefore(sql: Sql, event: RunEvent): Promise<RunState | undefined> {
  if (!isRepeated(event)) return undefined;
  const { run_id, published_at } = event;
  const { at } = (await sql.get<{ at: string | null }>(
    "SELECT max(at) AS at FROM run_events WHERE run_id = $1",
    run_id,
  ))!;
  if (at === null || at >= published_at) return undefined;
  return await sql.get<RunState>(
    `SELECT ${STATE_COLUMNS.join(", ")} FROM etl_runs WHERE run_id = $1`,
    run_id,
  );
}

async function eventsOf(sql: Sql, runId: string): Promise<RunEvent[]> {
  const rows = await sql.all<{ body: string }>("SELECT body FROM run_events WHERE run_id = $1", runId);
  return rows.map(({ body }) => JSON.parse(body));
}

/** Stores events, except those whose ids are known. Returns the runs with new ones. */
export async function keepEvents(sql: Sql, events: readonly RunEvent[]): Promise<Set<string>> {
  const touched = new Set<string>();
  for (const event of events) {
    const added = await sql.run(
      `INSERT INTO run_events (id, run_id, at, actor, type, phase, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (id) DO NOTHING`,
      event.id,
      event.run_id,
      event.published_at,
      event.actor,
      event.type,
      "phase" in event ? event.phase : null,
      JSON.stringify(event),
    );
    if (added > 0) touched.add(event.run_id);
  }
  return touched;
}

/**
 * Writes the state computed from a run's events to its row, and creates a missing row. Columns that only the load writes stay; in those that both
 * write, the events win.
 */
export async function writeRunState(sql: Sql, runId: string, state: RunState): Promise<void> {
  const { status, status_at } = state;
  await createRun(sql, runId, state.started_at ?? status_at, { status, status_at });
  await sql.run(
    `UPDATE etl_runs SET ${ASSIGNED} WHERE run_id = $1`,
    runId,
    ...STATE_COLUMNS.map((column) => state[column]),
  );
}

/** Columns that the load writes, too. */
const KEPT: readonly string[] = ["source", "correction_of", "pipeline", "since", "completeness"];

const ASSIGNED = STATE_COLUMNS.map((column, n) =>
  KEPT.includes(column) ? `${column} = coalesce($${n + 2}, ${column})` : `${column} = $${n + 2}`
).join(", ");

/** Stores which files of a run are on the SFTP server, replacing earlier rows of the same files. */
export async function recordDelivery(
  sql: Sql,
  runId: string,
  files: readonly Delivered[],
): Promise<void> {
  await sql.lock("events", "", { shared: true });
  for (const file of files) {
    // a row without the checksum of an encrypted copy replaces an earlier one, too
    await upsert(sql, "deliveries", ["run_id", "kind"], { sealed_sha256: undefined, ...file, run_id: runId });
  }
}

/** Stores that retention removed a local file; an earlier time stays. */
export async function markRemoved(sql: Sql, file: number, at: string): Promise<void> {
  await sql.run("UPDATE run_files SET removed_at = coalesce(removed_at, $1) WHERE id = $2", at, file);
}

async function linkCorrections(
  sql: Sql,
  runId: string,
  correctionOf: string,
  corrects: readonly number[],
): Promise<void> {
  const raw = await fileIdOf(sql, runId, "raw");
  const invalid = await fileIdOf(sql, correctionOf, "invalid");
  if (raw === undefined || invalid === undefined) return; // the corrected run was never loaded here: there is nothing to link
  await sql.run(
    `INSERT INTO record_corrections (raw_record_id, invalid_record_id)
     SELECT CAST($1 AS BIGINT) + c.n, CAST($2 AS BIGINT) + c.value FROM ${sql.dialect.listed("$3")} WHERE true
     ON CONFLICT (raw_record_id) DO UPDATE SET invalid_record_id = excluded.invalid_record_id`,
    raw * LINES_PER_FILE,
    invalid * LINES_PER_FILE,
    corrects,
  );
}

/** The keys of the first records, in order of appearance. */
export async function sampleFields(sql: Sql, { runId, pipeline }: RunToLoad): Promise<string[]> {
  const file = await fileIdOf(sql, runId, "raw");
  if (file === undefined) return [];
  const rows = await sql.all<{ json: string }>(
    `SELECT ${TEXT} AS json FROM ${
      fromRecords("raw", pipeline)
    } WHERE r.id BETWEEN $1 AND $2 ORDER BY r.id LIMIT ${SAMPLE}`,
    ...idsOf(file),
  );
  return [...new Set(rows.flatMap(({ json }) => keysOf(json)))];
}

function keysOf(line: string): string[] {
  try {
    const record = parseExact(line);
    return typeof record === "object" && record !== null && !Array.isArray(record) ? Object.keys(record) : [];
  } catch {
    return []; // a line that isn't JSON has no keys
  }
}
