/**
 * What the saver's actors write about runs.
 *
 * @module
 */
import { timeOfRun } from "../../contracts/ids.ts";
import type { RunEvent } from "../../contracts/messages.ts";
import { isRepeated, type RunState, STATE_COLUMNS, stateAfter, step } from "../run_state.ts";
import type { Delivered, LoadedRun, RunToLoad } from "../writes.ts";
import type { Database } from "../../sqlite/database.ts";
import { LINES_PER_FILE } from "../rows.ts";
import { fromRecords, TEXT } from "./record_sql.ts";
import { breathing, moveCurrent } from "./current_move.ts";
import { noteGrowth } from "./growth.ts";
import { addFields, refreshViews } from "./views.ts";

/** Records read for their keys where no one told them. */
const SAMPLE = 100;

/** Makes the run's row where it isn't there, as for a run that other programs began. */
export function announceRun(db: Database, run: RunToLoad): void {
  db.run(
    `INSERT INTO etl_runs (run_id, run_timestamp, status, status_at, source, correction_of, pipeline)
     VALUES (?1, ?2, 'LOADING', ?3, ?4, ?5, ?6) ON CONFLICT (run_id) DO NOTHING`,
    run.runId,
    timeOfRun(run.runId) ?? run.at,
    run.at,
    run.source,
    run.correctionOf,
    run.pipeline,
  );
}

/** Notes that a run is loaded, in the transaction of `db`: see `Store.markLoaded`. */
export async function markLoaded(
  db: Database,
  run: LoadedRun,
  signal: AbortSignal | undefined,
): Promise<void> {
  db.run(
    `UPDATE etl_runs SET raw_file = ?2, processed_file = ?3, dlq_file = ?4, valid_count = ?5, invalid_count = ?6,
       source = coalesce(source, ?7), correction_of = coalesce(correction_of, ?8), loaded_at = coalesce(loaded_at, ?9),
       lookup_sha256 = ?10, rules_sha256 = ?11, pipeline = ?12, since = coalesce(since, ?13),
       completeness = coalesce(completeness, ?14)
     WHERE run_id = ?1`,
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
    run.since === undefined ? null : JSON.stringify(run.since),
    run.completeness === undefined ? null : JSON.stringify(run.completeness),
  );
  if (run.correctionOf !== undefined && run.corrects !== undefined) {
    linkCorrections(db, run.runId, run.correctionOf, run.corrects);
  }
  if (addFields(db, run.pipeline, run.fields ?? sampleFields(db, run))) refreshViews(db);
  await moveCurrent(db, run, breathing(signal));
  noteGrowth(db);
}

/** Keeps events and brings the rows of their runs up to date, in the transaction of `db`. */
export function record(db: Database, events: readonly RunEvent[]): void {
  const [event, ...others] = events;
  const before = event !== undefined && others.length === 0 ? stateBefore(db, event) : undefined;
  for (const runId of keepEvents(db, events)) {
    writeRunState(db, runId, before ? step(before, event!) : stateOf(db, runId));
  }
}

/** What all that is known of a run says about it. Where its old events were removed, what followed from them stands for them. */
function stateOf(db: Database, runId: string): RunState {
  const events = eventsOf(db, runId);
  const kept = db.get<{ state: string }>("SELECT state FROM run_states WHERE run_id = ?", runId);
  if (kept === undefined) return stateAfter(events);
  const from: RunState = JSON.parse(kept.state);
  return stateAfter(events.filter(({ published_at }) => published_at > from.status_at), from);
}

/** The state of a run whose row follows from its events, if one step leads from it to the one after `event`. */
function stateBefore(db: Database, event: RunEvent): RunState | undefined {
  if (!isRepeated(event)) return undefined;
  const { run_id, published_at } = event;
  const last = db.get<{ at: string }>("SELECT max(at) AS at FROM run_events WHERE run_id = ?", run_id)?.at;
  if (last == null || last >= published_at) return undefined;
  return db.get<RunState>(`SELECT ${STATE_COLUMNS.join(", ")} FROM etl_runs WHERE run_id = ?`, run_id);
}

function eventsOf(db: Database, runId: string): RunEvent[] {
  return db.all<{ body: string }>("SELECT body FROM run_events WHERE run_id = ?", runId)
    .map((row) => JSON.parse(row.body));
}

/** Keeps events, but for those that are known by their ids. Returns the runs that have new ones. */
export function keepEvents(db: Database, events: readonly RunEvent[]): Set<string> {
  const touched = new Set<string>();
  for (const event of events) {
    const added = db.run(
      "INSERT INTO run_events (id, run_id, at, actor, type, phase, body) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
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

/** Writes what follows from a run's events to its row, and makes the row where it isn't there. What only the load knows stays; of what both know the events' word counts. */
export function writeRunState(db: Database, runId: string, state: RunState): void {
  // Not an upsert: an insert that finds a conflict uses up a number, and people see the numbers of runs.
  db.run(
    `INSERT INTO etl_runs (run_id, run_timestamp, status, status_at)
     SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM etl_runs WHERE run_id = ?1)`,
    runId,
    timeOfRun(runId) ?? state.started_at ?? state.status_at,
    state.status,
    state.status_at,
  );
  db.run(
    `UPDATE etl_runs SET status = ?2, status_at = ?3, source = coalesce(?4, source), requested_by = ?5, started_at = ?6,
       finished_at = ?7, correction_of = coalesce(?8, correction_of), superseded_by = ?9, failure_phase = ?10, failure_reason = ?11,
       failure_retryable = ?12, delivery_state = ?13, delivery_error = ?14, delivered_at = ?15,
       pipeline = coalesce(?16, pipeline), since = coalesce(?17, since), completeness = coalesce(?18, completeness)
     WHERE run_id = ?1`,
    runId,
    state.status,
    state.status_at,
    state.source,
    state.requested_by,
    state.started_at,
    state.finished_at,
    state.correction_of,
    state.superseded_by,
    state.failure_phase,
    state.failure_reason,
    state.failure_retryable,
    state.delivery_state,
    state.delivery_error,
    state.delivered_at,
    state.pipeline,
    state.since,
    state.completeness,
  );
}

/** Notes what was found on the SFTP server for a run, in place of what was noted before for the same files. */
export function recordDelivery(db: Database, runId: string, files: readonly Delivered[]): void {
  for (const file of files) {
    db.run(
      `INSERT INTO deliveries (run_id, kind, name, remote_path, sha256, bytes, verified, encrypted, sealed_sha256, delivered_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (run_id, kind) DO UPDATE SET name = excluded.name, remote_path = excluded.remote_path, sha256 = excluded.sha256,
           bytes = excluded.bytes, verified = excluded.verified, encrypted = excluded.encrypted,
           sealed_sha256 = excluded.sealed_sha256, delivered_at = excluded.delivered_at`,
      runId,
      file.kind,
      file.name,
      file.remote_path,
      file.sha256,
      file.bytes,
      file.verified,
      file.encrypted,
      file.sealed_sha256,
      file.delivered_at,
    );
  }
}

/** Notes that retention removed a local file; a time that was noted before stays. */
export function markRemoved(db: Database, file: number, at: string): void {
  db.run("UPDATE run_files SET removed_at = coalesce(removed_at, ?) WHERE id = ?", at, file);
}

function linkCorrections(
  db: Database,
  runId: string,
  correctionOf: string,
  corrects: readonly number[],
): void {
  const fileOf = (run: string, kind: string) =>
    db.get<{ id: number }>("SELECT id FROM run_files WHERE run_id = ? AND kind = ?", run, kind)?.id;
  const raw = fileOf(runId, "raw");
  const invalid = fileOf(correctionOf, "invalid");
  if (raw === undefined || invalid === undefined) return; // the corrected run was never loaded here: there is nothing to point to
  for (const [index, line] of corrects.entries()) {
    db.run(
      "INSERT OR REPLACE INTO record_corrections (raw_record_id, invalid_record_id) VALUES (?, ?)",
      raw * LINES_PER_FILE + index + 1,
      invalid * LINES_PER_FILE + line,
    );
  }
}

function sampleFields(db: Database, { runId, pipeline }: RunToLoad): string[] {
  const file = db.get<{ id: number }>("SELECT id FROM run_files WHERE run_id = ? AND kind = 'raw'", runId);
  if (file === undefined) return [];
  return db.all<{ key: string }>(
    `SELECT DISTINCT e.key AS key
     FROM (SELECT ${TEXT} AS json FROM ${
      fromRecords("raw", pipeline)
    } WHERE r.id BETWEEN ? AND ? ORDER BY r.id LIMIT ${SAMPLE}) AS r,
       json_each(iif(json_valid(r.json), r.json, '{}')) AS e
     WHERE typeof(e.key) = 'text'`,
    file.id * LINES_PER_FILE,
    (file.id + 1) * LINES_PER_FILE - 1,
  ).map((row) => row.key);
}
