-- A byte for each run: how many there are, and how many were loaded, is asked for with each page of them.
CREATE INDEX etl_runs_by_loaded ON etl_runs (loaded_at IS NULL);
