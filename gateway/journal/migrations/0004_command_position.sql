-- Up to where the commands of Kafka's topic have been handed on. Kafka forgets a consumer group's offsets after some days.
CREATE TABLE command_position (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    next      INTEGER NOT NULL,  -- the next offset to be handed on
    topic_id  BLOB,              -- of the topic in which `next` counts, 16 bytes; NULL: that Kafka has no ids
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
