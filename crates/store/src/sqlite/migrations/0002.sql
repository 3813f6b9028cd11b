-- What its person calls a passkey; nothing where nobody was asked.
ALTER TABLE passkeys ADD COLUMN name TEXT;

-- Whether a definition was in force at some time: what has changed is told against the newest of those.
ALTER TABLE pins ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1));
UPDATE pins SET accepted = 1 WHERE state = 0;
