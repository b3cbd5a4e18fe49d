-- Each entry holds a hash of itself and of its predecessor: docs/adr/0026-proof.md. Entries of earlier schemas have none.
ALTER TABLE entry ADD COLUMN salt BLOB;     -- deleted when personal data is erased from the entry
ALTER TABLE entry ADD COLUMN hash BLOB;     -- SHA-256
ALTER TABLE entry ADD COLUMN content BLOB;  -- hash of the content before personal data was erased from it

-- The entry before the oldest one that has a hash, and its hash; pruning moves it.
CREATE TABLE chain (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    offset   INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0  -- the last entry in an archive of `archive.path`
) STRICT;
