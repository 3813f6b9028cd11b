-- Times are milliseconds since 1970 (UTC), ids 16 bytes, hashes 32, JSON canonical text. The columns named n count
-- insertions: order never follows a clock.

-- The installation. `opened` counts how often this file was opened.
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  install BLOB NOT NULL CHECK (length(install) = 16),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  demo INTEGER NOT NULL CHECK (demo IN (0, 1)),
  opened INTEGER NOT NULL,
  keys BLOB CHECK (length(keys) = 32) -- id of the keys that it was first opened with; no others open it
) STRICT;

-- People, callers, and how each is known.

CREATE TABLE humans (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  root BLOB NOT NULL REFERENCES humans (id),
  name TEXT NOT NULL UNIQUE,
  disabled_at INTEGER,
  added_by TEXT NOT NULL
) STRICT;

CREATE TABLE callers (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  owner_human BLOB REFERENCES humans (id),
  owner_caller BLOB REFERENCES callers (id),
  act TEXT NOT NULL,
  disabled_at INTEGER,
  CHECK ((owner_human IS NULL) <> (owner_caller IS NULL))
) STRICT;

CREATE TABLE caller_keys (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  caller BLOB NOT NULL REFERENCES callers (id),
  prefix TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  not_after INTEGER,
  revoked_at INTEGER
) STRICT;

CREATE TABLE memberships (
  n INTEGER PRIMARY KEY,
  group_name TEXT NOT NULL,
  human BLOB REFERENCES humans (id),
  caller BLOB REFERENCES callers (id),
  CHECK ((human IS NULL) <> (caller IS NULL)),
  UNIQUE (group_name, human),
  UNIQUE (group_name, caller)
) STRICT;

CREATE TABLE passkeys (
  n INTEGER PRIMARY KEY,
  credential TEXT NOT NULL UNIQUE,
  human BLOB NOT NULL REFERENCES humans (id),
  cose BLOB NOT NULL,
  aaguid BLOB NOT NULL CHECK (length(aaguid) = 16),
  count INTEGER NOT NULL CHECK (count >= 0),
  backup_eligible INTEGER NOT NULL CHECK (backup_eligible IN (0, 1)),
  backed_up INTEGER NOT NULL CHECK (backed_up IN (0, 1)),
  enrolled_at INTEGER NOT NULL,
  enrolled_by TEXT NOT NULL,
  revoked_at INTEGER
) STRICT;

CREATE TABLE invites (
  n INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  human BLOB NOT NULL REFERENCES humans (id),
  until INTEGER NOT NULL,
  invited_by TEXT NOT NULL,
  used_at INTEGER
) STRICT;

CREATE TABLE sessions (
  n INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  human BLOB NOT NULL REFERENCES humans (id),
  auth_at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of ON sessions (human);
CREATE INDEX sessions_until ON sessions (until);

-- What a ceremony showed; the row is deleted when its nonce is taken.
CREATE TABLE ceremonies (
  n INTEGER PRIMARY KEY,
  nonce BLOB NOT NULL UNIQUE CHECK (length(nonce) = 32),
  human BLOB,
  elevation BLOB,
  purpose TEXT NOT NULL,
  statement TEXT NOT NULL,
  card TEXT NOT NULL,
  not_after INTEGER NOT NULL
) STRICT;
CREATE INDEX ceremonies_over ON ceremonies (not_after);

-- Elevation, votes, grant, attempts.

CREATE TABLE elevations (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  caller BLOB NOT NULL REFERENCES callers (id),
  key BLOB NOT NULL CHECK (length(key) = 16),
  key_bound INTEGER NOT NULL CHECK (key_bound IN (0, 1)),
  source TEXT NOT NULL,
  access_hash BLOB NOT NULL CHECK (length(access_hash) = 32),
  access TEXT NOT NULL,
  action TEXT NOT NULL,
  resource TEXT NOT NULL,
  requirement TEXT NOT NULL,
  policy BLOB NOT NULL CHECK (length(policy) = 32),
  purpose TEXT,
  ticket TEXT,
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
  why TEXT,
  concluded_by TEXT,
  version INTEGER NOT NULL CHECK (version >= 0),
  opened_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  concluded_at INTEGER,
  CHECK ((state = 0) = (concluded_at IS NULL))
) STRICT;
-- One request of one caller for one access waits at a time.
CREATE UNIQUE INDEX elevations_pending ON elevations (caller, access_hash) WHERE state = 0;
CREATE INDEX elevations_due ON elevations (expires_at) WHERE state = 0;
CREATE INDEX elevations_over ON elevations (caller, access_hash, state, concluded_at);
CREATE INDEX elevations_by_state ON elevations (state, opened_at);
CREATE INDEX elevations_by_caller ON elevations (caller, opened_at);
CREATE INDEX elevations_by_time ON elevations (opened_at);

-- One root votes once in each role; an owner who confirms again replaces the earlier confirmation.
CREATE TABLE votes (
  n INTEGER PRIMARY KEY,
  elevation BLOB NOT NULL REFERENCES elevations (id),
  root BLOB NOT NULL REFERENCES humans (id),
  human BLOB NOT NULL REFERENCES humans (id),
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  credential TEXT NOT NULL,
  statement TEXT NOT NULL,
  requirement_hash BLOB NOT NULL CHECK (length(requirement_hash) = 32),
  card_hash BLOB NOT NULL CHECK (length(card_hash) = 32),
  assertion TEXT NOT NULL,
  at INTEGER NOT NULL,
  UNIQUE (elevation, root, role)
) STRICT;

CREATE TABLE grants (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  elevation BLOB NOT NULL UNIQUE REFERENCES elevations (id),
  caller BLOB NOT NULL REFERENCES callers (id),
  key BLOB CHECK (length(key) = 16),
  access_hash BLOB NOT NULL CHECK (length(access_hash) = 32),
  action TEXT NOT NULL,
  resource TEXT NOT NULL,
  binds TEXT NOT NULL,
  bind_hash BLOB NOT NULL CHECK (length(bind_hash) = 32),
  uses INTEGER NOT NULL CHECK (uses > 0),
  spent INTEGER NOT NULL CHECK (spent BETWEEN 0 AND uses),
  not_after INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
CREATE INDEX grants_live ON grants (caller, action, resource) WHERE revoked_at IS NULL AND spent < uses;
CREATE INDEX grants_access ON grants (caller, access_hash);

CREATE TABLE attempts (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  grant_id BLOB REFERENCES grants (id),
  use INTEGER CHECK (use > 0),
  caller BLOB NOT NULL REFERENCES callers (id),
  access_hash BLOB NOT NULL CHECK (length(access_hash) = 32),
  resource TEXT NOT NULL,
  boot BLOB NOT NULL CHECK (length(boot) = 16),
  at INTEGER NOT NULL,
  outcome INTEGER CHECK (outcome BETWEEN 1 AND 4),
  delivered INTEGER CHECK (delivered IN (0, 1)),
  settled_at INTEGER,
  CHECK ((grant_id IS NULL) = (use IS NULL)),
  CHECK ((outcome IS NULL) = (settled_at IS NULL))
) STRICT;
-- Each use of a grant is one attempt (R4), whatever else goes wrong.
CREATE UNIQUE INDEX attempts_use ON attempts (grant_id, use) WHERE grant_id IS NOT NULL;
CREATE INDEX attempts_unsettled ON attempts (boot) WHERE outcome IS NULL;
CREATE INDEX attempts_of ON attempts (caller);
CREATE INDEX attempts_ran ON attempts (access_hash, at) WHERE grant_id IS NOT NULL;
CREATE INDEX attempts_open ON attempts (access_hash)
  WHERE grant_id IS NOT NULL AND (outcome IS NULL OR outcome = 4);

-- What a caller has used, and its calls in slots of five minutes. Advisory (decisions B22).
CREATE TABLE used (
  caller BLOB NOT NULL,
  resource TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  PRIMARY KEY (caller, resource)
) STRICT, WITHOUT ROWID;
CREATE TABLE calls (
  caller BLOB NOT NULL,
  slot INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (caller, slot)
) STRICT, WITHOUT ROWID;

-- Rules: locks, pins, policy. A subject is `all`, `caller:clr_…`, `human:hum_…` or `upstream:name`.

CREATE TABLE locks (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  subject TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  locked_by TEXT NOT NULL,
  why TEXT NOT NULL,
  lifted_at INTEGER
) STRICT;
CREATE INDEX locks_active ON locks (subject) WHERE lifted_at IS NULL;

CREATE TABLE pins (
  n INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  upstream TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  definition TEXT NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
  seen_at INTEGER NOT NULL,
  decided_by TEXT
) STRICT;
CREATE INDEX pins_of ON pins (upstream, kind, name);

CREATE TABLE policies (
  rev INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  bundle TEXT NOT NULL,
  activated_by TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

-- The log. What opening reads of a record stands first in its row, so that no overflow page is touched for it.

CREATE TABLE records (
  leaf INTEGER PRIMARY KEY CHECK (leaf >= 0),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  envelope BLOB NOT NULL,
  body BLOB,
  salt BLOB CHECK (length(salt) = 16),
  CHECK ((body IS NULL) = (salt IS NULL))
) STRICT;

-- Signed heads, each with the roots of its complete subtrees, from which the tree goes on.
CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY CHECK (size >= 0),
  root BLOB NOT NULL CHECK (length(root) = 32),
  roots BLOB NOT NULL,
  note TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  due INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_due ON outbox (due);
