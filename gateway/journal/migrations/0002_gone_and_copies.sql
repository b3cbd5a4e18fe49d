-- Numbers that a terminal says it no longer holds, and that never came here although its epoch was known: lost on its
-- flash, or acked by another journal. As JSON: [[from, to], ...].
ALTER TABLE stream ADD COLUMN gone TEXT NOT NULL DEFAULT '[]';

-- A copy that is gone on with is another journal: it has a uuid of its own, and up to `parent_upto` its entries are those
-- of the journal `parent`.
ALTER TABLE journal ADD COLUMN parent TEXT;
ALTER TABLE journal ADD COLUMN parent_upto INTEGER NOT NULL DEFAULT 0;
-- The gateway's own numbers (epoch 0) begin above this: those below may have been given out by the parent.
ALTER TABLE journal ADD COLUMN own_floor INTEGER NOT NULL DEFAULT 0;

-- Each time that the journal is opened: the entries from `first` on are of that run, up to the next one's first. Kafka's
-- watermark names the run of its entry; a run that is not here, or that is shorter here, is another copy's.
CREATE TABLE run (
    id    TEXT    PRIMARY KEY,
    first INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
