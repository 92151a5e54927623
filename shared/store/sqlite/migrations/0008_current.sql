-- A record that is the same as one that is stored: json is '', and same_as is the id of the record that holds the text. That one holds it itself.
-- The tables of other pipelines get the column when they are next opened.
ALTER TABLE raw_records ADD COLUMN same_as INTEGER;
ALTER TABLE processed_records ADD COLUMN same_as INTEGER;
ALTER TABLE invalid_records ADD COLUMN same_as INTEGER;

-- How the pipeline's current state is kept, as JSON; NULL where there is none.
ALTER TABLE pipelines ADD COLUMN current TEXT;

-- What each run did to its pipeline's current state, written in the transaction that notes it as loaded. Tables current$NAME and changes$NAME
-- refer to it.
CREATE TABLE run_moves (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  pipeline TEXT NOT NULL,
  place TEXT NOT NULL,                  -- in the order of extraction, as text that sorts; a correction follows the run that it corrects
  complete INTEGER NOT NULL,            -- 1 where what the run doesn't hold is gone
  at TEXT NOT NULL,
  added INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0,
  restored INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX run_moves_by_place ON run_moves (pipeline, place);
