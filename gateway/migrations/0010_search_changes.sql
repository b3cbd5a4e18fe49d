-- Rows that have changed since they were indexed: see docs/adr/0025-search.md. Their new words are added later.
CREATE TABLE search_changed (
    sale          INTEGER PRIMARY KEY,
    has_new_words INTEGER NOT NULL  -- 0: not examined yet
) STRICT;

-- Only finds the rows that are not examined yet.
CREATE INDEX search_changed_unexamined ON search_changed (sale) WHERE has_new_words = 0;

-- `search_pending` now has only rows of which words must be removed. 0: the row can no longer be shown. 1: it was erased.
-- 2: it is about to be erased; until that has been done, its former words would be read again.
ALTER TABLE search_pending RENAME COLUMN urgent TO reason;
