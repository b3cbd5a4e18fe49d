-- The search index of the lists: see docs/adr/0025-search.md. The rows of `sale` are indexed in blocks of 2^17 numbers, each
-- in an FTS5 table of its own, `search_BLOCK`, which src/projection/store/search.rs creates. `sale` below is kind * 2^48 + seq.

-- The blocks that are indexed, wholly or in part.
CREATE TABLE search_block (
    block INTEGER PRIMARY KEY,
    upto  INTEGER NOT NULL  -- the rows of the block before this number are indexed
) STRICT;

-- What is indexed. FTS5 needs the exact words to remove them.
CREATE TABLE search_text (
    sale   INTEGER PRIMARY KEY,
    open   TEXT NOT NULL,  -- what everybody may see
    hidden TEXT NOT NULL   -- what only some roles may see
) STRICT;

-- Rows that may have changed since they were indexed.
CREATE TABLE search_pending (
    sale   INTEGER PRIMARY KEY,
    urgent INTEGER NOT NULL  -- 0: the row can no longer be shown, so nobody can find it
) STRICT;

-- How the words were made. A file with other words is indexed anew.
CREATE TABLE search_form (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    form TEXT NOT NULL
) STRICT;
