-- The hash chain over the audit log, and how far the gateway has copied it into the journal. src/audit/chain.rs has the
-- rules, docs/adr/0014-audit.md the reasons.

-- SHA-256 of the row before and of this row's fields. NULL: an entry of an earlier version, which the entry
-- `chain-started` covers.
ALTER TABLE audit ADD COLUMN hash BLOB;

CREATE TRIGGER audit_is_chained BEFORE INSERT ON audit WHEN new.hash IS NULL
BEGIN
    SELECT raise(ABORT, 'an entry of the audit log needs its hash');
END;

CREATE TABLE audit_outbox (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Names this file's entries in the journal, so that a new file's entries are not taken for those of a lost one.
    -- Random, not 0.
    epoch INTEGER NOT NULL,
    -- The journal has every entry up to and including this one, failed sign-ins apart.
    acts INTEGER NOT NULL,
    -- The same for failed sign-ins, which may have to wait longer.
    failed_sign_ins INTEGER NOT NULL,
    -- What the failed sign-ins take of this file.
    failed_sign_in_bytes INTEGER NOT NULL
) STRICT;

-- Entries of earlier versions stay in this file only.
INSERT INTO audit_outbox (id, epoch, acts, failed_sign_ins, failed_sign_in_bytes)
SELECT 1, abs(random() % 4294967295) + 1, coalesce(max(id), 0), coalesce(max(id), 0),
    coalesce(sum(256 + octet_length(coalesce(address, '')) + octet_length(coalesce(subject, '')))
        FILTER (WHERE action = 'sign-in-failed'), 0)
FROM audit;
