-- The numbers of head office's commands that were handed on: first to last of one epoch.
CREATE TABLE command_handled (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;
