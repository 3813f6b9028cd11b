-- What a caller says that it wants done once (Idempotency-Key), by the digest of its own name for it.
CREATE TABLE once (
  caller BLOB NOT NULL REFERENCES callers (id),
  key BLOB NOT NULL CHECK (length(key) = 32),
  attempt BLOB NOT NULL UNIQUE REFERENCES attempts (id),
  PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
