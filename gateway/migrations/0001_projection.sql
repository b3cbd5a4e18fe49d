-- What the dashboard shows. Made from the journal and from Kafka, and made anew from them if it is lost.

CREATE TABLE progress (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    journal TEXT    NOT NULL,  -- uuid of the journal that `folded` and `sale.entry` are about
    folded  INTEGER NOT NULL,  -- every journal entry at or below it is in these tables
    totals  TEXT    NOT NULL   -- JSON
) STRICT;

CREATE TABLE position (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    next      INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- The newest state of each order, payment and delivery, in the order in which they were first seen.
CREATE TABLE sale (
    kind      INTEGER NOT NULL,  -- 0 order, 1 payment, 2 delivery
    seq       INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    order_id  TEXT,              -- of a payment or a delivery: the order that it belongs to
    status    TEXT    NOT NULL,
    time      INTEGER NOT NULL,  -- of the newest event, Unix ms
    minor     INTEGER,           -- of a payment
    currency  TEXT,
    entry     INTEGER,           -- the journal's entry with the newest state; NULL: it came from Kafka
    name      TEXT,              -- from Kafka: its ce_id
    payload   TEXT,              --   its JSON
    partition INTEGER,           --   and its place
    offset    INTEGER,
    PRIMARY KEY (kind, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sale_id ON sale (kind, id);
CREATE INDEX sale_order ON sale (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX sale_status ON sale (kind, status, seq);

-- Where the journal's entries lie in Kafka, as they were read back.
CREATE TABLE place (
    entry     INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL
) STRICT;
