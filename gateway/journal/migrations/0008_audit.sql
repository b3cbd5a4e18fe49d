-- Entries of the gateway's audit log: kind 4, and 5 for failed sign-ins. Their device, `_gateway`, is none that a till can
-- have. A gateway of an earlier schema cannot read them, and rejects this file.
CREATE INDEX entry_audit ON entry (offset) WHERE kind IN (4, 5);

-- The failed sign-ins among `pending_bytes`.
ALTER TABLE stream ADD COLUMN pending_failed_sign_in_bytes INTEGER NOT NULL DEFAULT 0;
