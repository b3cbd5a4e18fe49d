-- docs/adr/0017-office.md explains the tables. Names are compared byte by byte: COLLATE "C".

CREATE TABLE position (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    -- Offset of the next record to read.
    next bigint NOT NULL,
    -- Kafka's id of the topic. NULL if the brokers have no topic ids.
    topic_id bytea,
    -- Everything that Kafka had at this time was read.
    as_of timestamptz NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Each event once. `time` is the sale's, from the signed value.
CREATE TABLE event (
    store text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('order', 'payment', 'delivery')),
    -- Of the order, the payment or the delivery.
    id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    -- json, not jsonb: the bytes stay as the gateway signed them.
    value json NOT NULL,
    PRIMARY KEY (store, device, epoch, seq, time)
) PARTITION BY RANGE (time);

CREATE TABLE event_other PARTITION OF event DEFAULT;

-- The present state of each sale.
CREATE TABLE sale (
    store text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('order', 'payment', 'delivery')),
    -- Of payments; empty for orders and deliveries, which are one within a store.
    device text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    -- The device that made it, and its newest event of this sale.
    creator text COLLATE "C" NOT NULL,
    creator_epoch bigint NOT NULL,
    creator_seq bigint NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    -- Minor units; deliveries have none.
    amount bigint,
    currency text COLLATE "C",
    -- Changes by other devices that were not taken over.
    corrections integer NOT NULL,
    value json NOT NULL,
    PRIMARY KEY (store, kind, device, id)
);

CREATE INDEX sale_by_time ON sale (time, store, kind, device, id);
CREATE INDEX sale_by_shop ON sale (store, time, kind, device, id);
-- For searches by the beginning of an id.
CREATE INDEX sale_by_id ON sale (id);
CREATE INDEX sale_by_order ON sale (order_id);

CREATE TABLE shop (
    store text COLLATE "C" PRIMARY KEY,
    -- When Kafka appended the newest record that is provably the shop's.
    heard timestamptz NOT NULL,
    -- The same, of events only.
    sold timestamptz,
    -- The newest state of the gateway, and its own time.
    state json,
    state_time timestamptz,
    -- The largest time of a state that was ahead of Kafka's clock.
    future_time timestamptz
);

CREATE TABLE kept_apart (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    appended timestamptz NOT NULL,
    reason text COLLATE "C" NOT NULL,
    -- What the record claims to be.
    name text NOT NULL,
    -- The first 256 bytes, and the first 4 KiB of the value.
    key bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (topic, partition, record_offset)
);

CREATE INDEX kept_apart_by_time ON kept_apart (appended);

CREATE TABLE lost_records (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    noticed timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, from_offset, to_offset)
);

-- Troubles of shops that were reported.
CREATE TABLE alert (
    store text COLLATE "C" NOT NULL,
    trouble text COLLATE "C" NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (store, trouble)
);

-- Messages that have not been delivered.
CREATE TABLE notification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created timestamptz NOT NULL DEFAULT now(),
    body json NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now()
);
