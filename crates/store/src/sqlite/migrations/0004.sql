-- An attempt may also end as 5, released: another enforcement point was told that it may run. SQLite changes no CHECK, so the table
-- is made anew; nothing refers to it.
CREATE TABLE attempts_4 (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  grant_id BLOB REFERENCES grants (id),
  use INTEGER CHECK (use > 0),
  caller BLOB NOT NULL REFERENCES callers (id),
  access_hash BLOB NOT NULL CHECK (length(access_hash) = 32),
  resource TEXT NOT NULL,
  boot BLOB NOT NULL CHECK (length(boot) = 16),
  at INTEGER NOT NULL,
  outcome INTEGER CHECK (outcome BETWEEN 1 AND 5),
  delivered INTEGER CHECK (delivered IN (0, 1)),
  settled_at INTEGER,
  CHECK ((grant_id IS NULL) = (use IS NULL)),
  CHECK ((outcome IS NULL) = (settled_at IS NULL))
) STRICT;
INSERT INTO attempts_4 SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE attempts_4 RENAME TO attempts;
-- Each use of a grant is one attempt (R4), whatever else goes wrong.
CREATE UNIQUE INDEX attempts_use ON attempts (grant_id, use) WHERE grant_id IS NOT NULL;
CREATE INDEX attempts_unsettled ON attempts (boot) WHERE outcome IS NULL;
CREATE INDEX attempts_of ON attempts (caller);
CREATE INDEX attempts_ran ON attempts (access_hash, at) WHERE grant_id IS NOT NULL;
CREATE INDEX attempts_open ON attempts (access_hash)
  WHERE grant_id IS NOT NULL AND (outcome IS NULL OR outcome = 4);
