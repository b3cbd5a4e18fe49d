-- The sales of other shops, read from Kafka, are kept apart from this shop's. 0: of another shop.
ALTER TABLE sale ADD COLUMN home INTEGER NOT NULL DEFAULT 1;
CREATE INDEX sale_shop ON sale (store, kind, seq) WHERE home = 0;

-- The totals of other shops.
CREATE TABLE shop (
    store  TEXT NOT NULL PRIMARY KEY,
    totals TEXT NOT NULL  -- JSON, as in progress
) STRICT, WITHOUT ROWID;
