-- Runs. The first seven columns are the original's; people and its front end query them by name.
CREATE TABLE etl_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_timestamp TEXT NOT NULL,          -- when the run was first heard of; never changes, so that pages of runs stay in order
  raw_file TEXT,
  processed_file TEXT,
  dlq_file TEXT,
  valid_count INTEGER,                  -- NULL until the run reaches the load
  invalid_count INTEGER,
  run_id TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL CHECK (status IN
    ('REQUESTED', 'EXTRACTING', 'TRANSFORMING', 'LOADING', 'DELIVERING', 'DELIVERY_PENDING', 'COMPLETED', 'FAILED')),
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
  delivered_at TEXT
) STRICT;
CREATE INDEX etl_runs_by_time ON etl_runs (run_timestamp, id);
CREATE INDEX etl_runs_by_status ON etl_runs (status, run_timestamp, id);
-- the list that people see first: runs that reached the load
CREATE INDEX etl_runs_loaded_by_time ON etl_runs (run_timestamp, id, loaded_at) WHERE loaded_at IS NOT NULL;
CREATE INDEX etl_runs_by_correction ON etl_runs (correction_of) WHERE correction_of IS NOT NULL;

-- What was told of each run, as it was told (body is the RunEvent).
CREATE TABLE run_events (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  type TEXT NOT NULL,
  phase TEXT,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX run_events_by_run ON run_events (run_id, at, seq);

-- One row for each loaded file, written in the transaction that loads its records: a row means the whole file is there.
CREATE TABLE run_files (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('raw', 'processed', 'invalid')),
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  records INTEGER NOT NULL,
  loaded_at TEXT NOT NULL,
  UNIQUE (run_id, kind)
) STRICT;

-- Records: the line as it stands in the file. id = run_files.id * 1000000000 + line (from 1): the records of a file are one range of ids, in
-- file order, and need no index.
CREATE TABLE raw_records (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
CREATE TABLE processed_records (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
CREATE TABLE invalid_records (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;

-- Which dead letter a record of a correction run corrects: raw record -> invalid record.
CREATE TABLE record_corrections (
  raw_record_id INTEGER PRIMARY KEY,
  invalid_record_id INTEGER NOT NULL
) STRICT;
CREATE INDEX record_corrections_by_invalid ON record_corrections (invalid_record_id);

-- Top-level keys of records, in the order in which the views raw_users, processed_users and invalid_users show them as columns.
CREATE TABLE record_fields (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- those of the usual source stand first, in its order
INSERT INTO record_fields (name) VALUES
  ('id'), ('firstName'), ('lastName'), ('maidenName'), ('age'), ('gender'), ('email'), ('phone'), ('username'),
  ('password'), ('birthDate'), ('image'), ('bloodGroup'), ('height'), ('weight'), ('eyeColor'), ('hair'), ('ip'),
  ('address'), ('macAddress'), ('university'), ('bank'), ('company'), ('ein'), ('ssn'), ('userAgent'), ('crypto'),
  ('role');

-- What lies on the SFTP server, written after it was verified there.
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('raw', 'processed', 'invalid', 'manifest')),
  name TEXT NOT NULL,
  remote_path TEXT NOT NULL,
  sha256 TEXT NOT NULL,                 -- of the local file, before encryption
  bytes INTEGER NOT NULL,               -- as delivered
  verified TEXT NOT NULL CHECK (verified IN ('content', 'size')),
  encrypted INTEGER NOT NULL DEFAULT 0,
  delivered_at TEXT NOT NULL,
  UNIQUE (run_id, kind)
) STRICT;
CREATE INDEX deliveries_by_sha256 ON deliveries (sha256);
