-- When the records of a file left the database, but for those that are still needed; how many these are (NULL: all).
ALTER TABLE run_files ADD COLUMN trimmed_at TEXT;
ALTER TABLE run_files ADD COLUMN kept BIGINT;

-- What followed from the events of a run when they were removed, as JSON; later events start from it.
CREATE TABLE run_states (
  run_id TEXT COLLATE "C" PRIMARY KEY,
  state TEXT NOT NULL
);

-- Bytes of the database after the last load of each day.
CREATE TABLE run_growth (
  day DATE PRIMARY KEY,
  bytes BIGINT NOT NULL
);
