-- Rows that have changed since they were indexed: see docs/adr/0025-search.md. `search_pending` has only those of which words
-- must be removed.
CREATE TABLE search_changed (
    sale          INTEGER PRIMARY KEY,
    has_new_words INTEGER NOT NULL  -- 0: not examined yet
) STRICT;

-- Only finds the rows that are not examined yet.
CREATE INDEX search_changed_unexamined ON search_changed (sale) WHERE has_new_words = 0;
