-- SHA-256 of the encrypted file as delivered, so that it can be compared without the key; NULL where the file isn't encrypted.
ALTER TABLE deliveries ADD COLUMN sealed_sha256 TEXT;

-- When retention removed the local file; NULL while it is to be there.
ALTER TABLE run_files ADD COLUMN removed_at TEXT;
