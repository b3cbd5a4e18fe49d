-- docs/adr/0020-office-commands.md explains these tables.

-- What was sent to shops and tills.
CREATE TABLE command (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    -- `*` for all shops, `{store}` or `{store}/{device}`.
    target text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('message', 'price_list', 'order_status')),
    -- json, not jsonb: prices keep their decimals.
    value json NOT NULL,
    idempotency_key text COLLATE "C",
    UNIQUE (author, idempotency_key)
);

-- The outbox: one row for each shop of a command.
CREATE TABLE command_delivery (
    command bigint NOT NULL REFERENCES command ON DELETE CASCADE,
    store text COLLATE "C" NOT NULL,
    -- The number in the record's header. NULL until the first attempt to send it.
    epoch bigint,
    seq bigint,
    -- When Kafka had it.
    sent timestamptz,
    -- When Kafka had the state in which the gateway confirmed it.
    handed_over timestamptz,
    PRIMARY KEY (command, store)
);

CREATE INDEX command_delivery_unsent ON command_delivery (store, command) WHERE sent IS NULL;
CREATE INDEX command_delivery_unconfirmed ON command_delivery (store, epoch, seq) WHERE handed_over IS NULL;
CREATE INDEX command_delivery_by_shop ON command_delivery (store, command);

-- The numbers of a shop, and when to try to send again.
CREATE TABLE command_stream (
    store text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 1 + floor(random() * 4294967295)::bigint,
    next bigint NOT NULL DEFAULT 1,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now()
);

-- From the newest state of the gateway: the commands that it has handed over, and whether it says so at all.
ALTER TABLE shop
    ADD COLUMN reports_commands boolean NOT NULL DEFAULT false,
    ADD COLUMN commands_epoch bigint,
    ADD COLUMN commands_first bigint,
    ADD COLUMN commands_last bigint;
