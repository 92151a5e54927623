-- What came of what the source announced: {"announced": …, "received": …, "missing": …, "repeated": …}; NULL where nobody told.
ALTER TABLE etl_runs ADD COLUMN completeness TEXT;
