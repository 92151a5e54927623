-- What receivers outside were told; the newest are kept.
CREATE TABLE notifications (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id TEXT NOT NULL,             -- the same for all receivers and tries
  receiver TEXT NOT NULL,               -- the first digits of the SHA-256 of its address, which holds a secret
  host TEXT NOT NULL,
  type TEXT NOT NULL,
  pipeline TEXT,
  run_id TEXT,
  text TEXT NOT NULL,
  happened_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('WAITING', 'SENT', 'FAILED')),
  attempts INTEGER NOT NULL DEFAULT 0,
  tried_at TEXT,
  result TEXT,                          -- of the last try
  UNIQUE (webhook_id, receiver)
) STRICT;

-- Which planned times were judged, so that each is told at most once.
CREATE TABLE watched_schedules (
  pipeline TEXT PRIMARY KEY,
  schedule TEXT NOT NULL,               -- where it changes, times before the change were not planned by it
  judged_until TEXT NOT NULL,
  late_at TEXT                          -- when a late run was last told
) STRICT, WITHOUT ROWID;
