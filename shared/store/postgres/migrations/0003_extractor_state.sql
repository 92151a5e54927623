-- What the extractor has to remember after the end of its machine: its checkpoints and announcements, as the files of DATA_DIR/state elsewhere.
CREATE TABLE extractor_state (
  name TEXT COLLATE "C" PRIMARY KEY,
  body TEXT NOT NULL
);

-- Who may change what a lease is named after. A holder that isn't heard of loses it; the fence grows with each holder, and what an earlier one
-- writes is refused.
CREATE TABLE leases (
  name TEXT COLLATE "C" PRIMARY KEY,
  fence BIGINT NOT NULL,
  holder TEXT NOT NULL,                 -- for messages
  expires_at TIMESTAMPTZ NOT NULL       -- by the server's clock, whatever those of machines say
);
