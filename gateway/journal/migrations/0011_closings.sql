-- The closings of days: an entry of kind 6 each, of the device `_gateway`, numbered by the gateway (epoch 0). Their rows stay
-- when the entries are pruned.
CREATE TABLE closing (
    offset  INTEGER PRIMARY KEY,  -- of the entry
    number  INTEGER NOT NULL,     -- 1, 2, 3 ...
    date    TEXT    NOT NULL,     -- YYYY-MM-DD in the shop's time zone
    upto    INTEGER NOT NULL,     -- the last entry that it counts
    payload TEXT    NOT NULL      -- Kafka's value
) STRICT;

CREATE INDEX closing_date ON closing (date);

-- Up to which number closings cover each device and epoch.
CREATE TABLE closed_number (
    device INTEGER NOT NULL REFERENCES device (id),
    epoch  INTEGER NOT NULL,
    upto   INTEGER NOT NULL,
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;
