-- What its person calls a passkey; nothing where nobody was asked.
ALTER TABLE passkeys ADD COLUMN name TEXT;

-- The name of the people's page that it was made for; it signs for no other (WebAuthn, rpId).
ALTER TABLE passkeys ADD COLUMN rp_id TEXT NOT NULL DEFAULT '';

-- Whether a definition was in force at some time: what has changed is told against the newest of those.
ALTER TABLE pins ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1));
UPDATE pins SET accepted = 1 WHERE state = 0;
