-- What was the one pipeline's becomes that of each.
ALTER TABLE etl_runs ADD COLUMN pipeline TEXT NOT NULL DEFAULT 'users';
ALTER TABLE run_files ADD COLUMN pipeline TEXT NOT NULL DEFAULT 'users';
CREATE INDEX etl_runs_by_pipeline ON etl_runs (pipeline, run_timestamp, id);
CREATE INDEX etl_runs_by_pipeline_status ON etl_runs (pipeline, status, run_timestamp, id);

CREATE TABLE pipeline_fields (
  position INTEGER PRIMARY KEY,
  pipeline TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (pipeline, name)
) STRICT;
INSERT INTO pipeline_fields (position, pipeline, name) SELECT position, 'users', name FROM record_fields;
DROP TABLE record_fields;

-- What is shown of a pipeline's records, also once its definition was removed. What is text in plural is a JSON array.
CREATE TABLE pipelines (
  name TEXT PRIMARY KEY,
  added TEXT NOT NULL,                  -- keys that the pipeline adds to valid records
  masked TEXT NOT NULL,                 -- fields that read as ***
  judged TEXT NOT NULL,                 -- fields that have a rule, which a reason may quote
  folder TEXT                           -- of deliveries, below the server's; NULL where none are made
) STRICT, WITHOUT ROWID;
