-- What is told begins as an event, and becomes one notification for each channel and recipient: those that the event
-- itself has are empty. A thread is what several notifications are about, one after the other.
ALTER TABLE outbox ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN channel TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN recipient TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN thread TEXT NOT NULL DEFAULT '';
UPDATE outbox SET at = due;
DROP INDEX outbox_due;
CREATE INDEX outbox_channel ON outbox (channel, id);
CREATE INDEX outbox_thread ON outbox (thread, channel, recipient, id);

-- Who was told of what is not over yet, and so is told how it ends.
CREATE TABLE told (
  thread TEXT NOT NULL,
  channel TEXT NOT NULL,
  recipient TEXT NOT NULL,
  note TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (thread, channel, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_at ON told (at);

-- Notifications that made room for newer ones and that no record tells of yet.
ALTER TABLE meta ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
