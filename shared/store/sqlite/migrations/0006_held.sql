-- Runs that are held before their load, and what runs with `since` asked for. A CHECK can't be changed in place: the table is written anew.
CREATE TABLE etl_runs_held (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_timestamp TEXT NOT NULL,          -- when the run was first heard of; never changes, so that pages of runs stay in order
  raw_file TEXT,
  processed_file TEXT,
  dlq_file TEXT,
  valid_count INTEGER,                  -- NULL until the run reaches the load
  invalid_count INTEGER,
  run_id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL CHECK (status IN
    ('REQUESTED', 'EXTRACTING', 'TRANSFORMING', 'HELD', 'LOADING', 'DELIVERING', 'DELIVERY_PENDING', 'COMPLETED', 'FAILED')),
  status_at TEXT NOT NULL,              -- time of the event that the status follows from; an earlier event that arrives late changes nothing
  source TEXT,
  requested_by TEXT,
  started_at TEXT,
  loaded_at TEXT,                       -- when all three files were loaded
  finished_at TEXT,
  correction_of TEXT,
  lookup_sha256 TEXT,                   -- what the records were enriched with, and judged by; NULL where the transformer didn't tell
  rules_sha256 TEXT,
  superseded_by TEXT,
  failure_phase TEXT,
  failure_reason TEXT,
  failure_retryable INTEGER,
  delivery_state TEXT CHECK (delivery_state IN ('PENDING', 'DELIVERED', 'NOT_CONFIGURED', 'FAILED')),
  delivery_error TEXT,
  delivered_at TEXT,
  pipeline TEXT NOT NULL DEFAULT 'users',
  since TEXT                            -- where only what changed was asked for: {"from": …, "to": …}, as the source writes its times
) STRICT;
INSERT INTO etl_runs_held
  SELECT id, run_timestamp, raw_file, processed_file, dlq_file, valid_count, invalid_count, run_id, status, status_at, source,
    requested_by, started_at, loaded_at, finished_at, correction_of, lookup_sha256, rules_sha256, superseded_by, failure_phase,
    failure_reason, failure_retryable, delivery_state, delivery_error, delivered_at, pipeline, NULL
  FROM etl_runs;
DROP TABLE etl_runs;
ALTER TABLE etl_runs_held RENAME TO etl_runs;
CREATE INDEX etl_runs_by_time ON etl_runs (run_timestamp, id);
CREATE INDEX etl_runs_by_status ON etl_runs (status, run_timestamp, id);
CREATE INDEX etl_runs_by_correction ON etl_runs (correction_of) WHERE correction_of IS NOT NULL;
CREATE INDEX etl_runs_by_loaded ON etl_runs (loaded_at IS NULL);
CREATE INDEX etl_runs_loaded_by_time ON etl_runs (run_timestamp, id, loaded_at) WHERE loaded_at IS NOT NULL;
CREATE INDEX etl_runs_by_pipeline ON etl_runs (pipeline, run_timestamp, id);
CREATE INDEX etl_runs_by_pipeline_status ON etl_runs (pipeline, status, run_timestamp, id);

-- What a person has to decide on, and what was decided.
CREATE TABLE holds (
  run_id TEXT PRIMARY KEY,
  pipeline TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,                -- what announced the files, with the SHA-256 of each; a release announces them again
  samples TEXT,                         -- the first invalid records, a JSON array of lines; NULL once it is decided
  compared_with TEXT,                   -- the run whose numbers it was compared with
  held_at TEXT NOT NULL,
  decision TEXT CHECK (decision IN ('released', 'rejected')),
  decided_by TEXT,
  decided_at TEXT,
  order_id TEXT                         -- the message that asked for the decision
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_pipeline ON holds (pipeline, held_at);
