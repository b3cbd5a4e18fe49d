-- Since this schema the gateway signs what it writes to Kafka, with keys that derive from the shop's secret.

-- Entries up to this one may be in Kafka without a valid signature: an earlier version wrote them.
ALTER TABLE journal ADD COLUMN unsigned_upto INTEGER NOT NULL DEFAULT 0;
-- Unix ms: since when every record of this shop is signed. NULL: since `created`.
ALTER TABLE journal ADD COLUMN signed_since INTEGER;
-- The public name of the secret. NULL until the first start with one.
ALTER TABLE journal ADD COLUMN secret TEXT;
UPDATE journal SET
    unsigned_upto = max(coalesce((SELECT max(offset) FROM entry), 0), coalesce((SELECT offset FROM watermark), 0)),
    signed_since = CAST(unixepoch() AS INTEGER) * 1000;

-- 1 while a watermark without a valid signature may count: until the bridge reports for the first time.
ALTER TABLE watermark ADD COLUMN unsigned INTEGER NOT NULL DEFAULT 1;
