-- When the records of a file left the database, but for those that are still needed; how many these are (NULL: all), and how many they were when
-- they were last written close together.
ALTER TABLE run_files ADD COLUMN trimmed_at TEXT;
ALTER TABLE run_files ADD COLUMN kept INTEGER;
ALTER TABLE run_files ADD COLUMN packed INTEGER;

-- What followed from the events of a run when they were removed, as JSON; later events start from it.
CREATE TABLE run_states (
  run_id TEXT PRIMARY KEY,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Bytes of the database that were in use after the last load of each day.
CREATE TABLE run_growth (
  day TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
