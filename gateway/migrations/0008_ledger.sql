-- The net takings that no closing has counted yet, as JSON. NULL: written by a version without closings.
ALTER TABLE progress ADD COLUMN ledger TEXT;
