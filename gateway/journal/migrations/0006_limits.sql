-- What a stream's entries that are not in Kafka take of the journal, so that one device cannot fill it. Entries of earlier
-- versions that are pending now do not count.
ALTER TABLE stream ADD COLUMN pending_bytes INTEGER NOT NULL DEFAULT 0;
-- The dead letters among them.
ALTER TABLE stream ADD COLUMN pending_dead_letters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN pending_dead_letter_bytes INTEGER NOT NULL DEFAULT 0;
-- 1: an epoch that its device no longer uses. It is not in memory, and is read again when an event of it arrives.
ALTER TABLE stream ADD COLUMN dormant INTEGER NOT NULL DEFAULT 0;
CREATE INDEX stream_dormant ON stream (device) WHERE dormant = 1;
-- 1: a device whose streams are all dormant. Its name is free for others until it sends again.
ALTER TABLE device ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
