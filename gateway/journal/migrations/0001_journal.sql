-- The journal. Its rules stand in src/journal/mod.rs; the reasons in docs/adr/0001-journal.md.

-- Who this journal is. The watermark in Kafka is kept per uuid: another journal is another reader's page.
CREATE TABLE journal (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    uuid    TEXT    NOT NULL,
    created INTEGER NOT NULL  -- Unix ms
) STRICT;

CREATE TABLE device (
    id       INTEGER PRIMARY KEY,
    store    TEXT    NOT NULL,
    device   TEXT    NOT NULL,
    encoding INTEGER NOT NULL,  -- how it wants its acks: 0 postcard, 1 JSON
    UNIQUE (store, device)
) STRICT;

-- What has been received of each device and epoch: the memory of names, which outlives the entries.
CREATE TABLE stream (
    device    INTEGER NOT NULL REFERENCES device (id),
    epoch     INTEGER NOT NULL,  -- 0: numbered by the gateway
    upto      INTEGER NOT NULL,  -- every seq up to and including this one is settled
    ahead     TEXT    NOT NULL,  -- settled ranges beyond it, as JSON: [[from, to], ...]
    stored    INTEGER NOT NULL,  -- events in this journal, ever
    elsewhere INTEGER NOT NULL,  -- settled without us: the terminal no longer holds them
    in_kafka  INTEGER NOT NULL,  -- of those stored, at or below the watermark
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;

-- The events, in the order in which they were committed. Append-only; the front is pruned once it is in Kafka.
CREATE TABLE entry (
    offset  INTEGER PRIMARY KEY,  -- 1, 2, 3 ... without holes
    kind    INTEGER NOT NULL,     -- 0 order, 1 payment, 2 delivery, 3 dead letter
    device  INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    time    INTEGER NOT NULL,     -- of the event, Unix ms
    key     TEXT    NOT NULL,     -- Kafka's key: the order_id; of a dead letter its MQTT topic
    payload ANY     NOT NULL,     -- Kafka's value: JSON text; of a dead letter the bytes as they came
    reason  TEXT                  -- of a dead letter
) STRICT;

CREATE INDEX entry_dead_letter ON entry (offset) WHERE kind = 3;

-- Same topic and same bytes are the same event, for whoever sends no seq.
CREATE TABLE fingerprint (
    hash   BLOB    PRIMARY KEY,
    offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX fingerprint_offset ON fingerprint (offset);

-- Where the bridge is, as far as this side knows. Kafka's own record of it has the last word.
CREATE TABLE watermark (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    offset      INTEGER NOT NULL,  -- every entry at or below it is in Kafka
    read_from   INTEGER NOT NULL   -- of Kafka's watermark topic: our records before it say nothing newer than `offset`
) STRICT;

CREATE TABLE retried (
    offset INTEGER PRIMARY KEY,    -- of the dead letter
    at     INTEGER NOT NULL        -- Unix ms
) STRICT;
