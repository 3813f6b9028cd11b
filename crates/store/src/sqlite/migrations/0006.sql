-- Who touched what, as the rules of their time had it: one row for each person behind the caller of an attempt. No key: its answer did
-- not say which it was, or has not yet, so it may be any of that kind. No root: nobody knows who stands behind it.
CREATE TABLE touched (
  n INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  key TEXT,
  root BLOB REFERENCES humans (id),
  attempt BLOB NOT NULL REFERENCES attempts (id)
) STRICT;
CREATE INDEX touched_of ON touched (kind, key, root);
CREATE INDEX touched_by ON touched (attempt);

-- What we authenticate with at an upstream, where one of its answers was a new credential: sealed under the installation's key. The number
-- is that of the attempt, so that an answer that comes late takes no newer one's place.
CREATE TABLE credentials (
  upstream TEXT PRIMARY KEY,
  sealed TEXT NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
