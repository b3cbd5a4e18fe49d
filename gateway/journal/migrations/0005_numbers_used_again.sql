-- What a JSON device has sent under each of its numbers. A number that comes again with the same content is a redelivery;
-- with another content it is another sale, of a device that has begun to count anew in its old epoch.
CREATE TABLE numbered (
    device INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    offset INTEGER NOT NULL,  -- of the entry, which may be pruned by now
    PRIMARY KEY (device, epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX numbered_offset ON numbered (offset);

-- Events that came under a number that had been used for another, and were kept under a number of the gateway's own.
ALTER TABLE stream ADD COLUMN reused INTEGER NOT NULL DEFAULT 0;
