-- Orders and deliveries belong to the device that created them. Empty: not known; then every device may change the sale.
ALTER TABLE sale ADD COLUMN creator TEXT NOT NULL DEFAULT '';
-- 1: another device has moved the status forwards. `status` is newer than the JSON, which is still the creator's.
ALTER TABLE sale ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
-- Changes by other devices that were not, or not wholly, taken over.
ALTER TABLE sale ADD COLUMN corrections INTEGER NOT NULL DEFAULT 0;

-- Changes of orders and deliveries by other devices than their creators.
CREATE TABLE correction (
    entry    INTEGER PRIMARY KEY,  -- the journal's entry
    kind     INTEGER NOT NULL,     -- as in sale
    id       TEXT    NOT NULL,
    store    TEXT    NOT NULL,
    order_id TEXT    NOT NULL,
    device   TEXT    NOT NULL,     -- the author
    status   TEXT,                 -- if it differed
    minor    INTEGER,              -- of an amount that differed
    currency TEXT,
    time     INTEGER NOT NULL,     -- Unix ms
    applied  INTEGER NOT NULL      -- 1: the status was taken over
) STRICT;

CREATE INDEX correction_order ON correction (order_id, store);
