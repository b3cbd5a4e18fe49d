-- Two users or tokens may have the same name: an idempotency key belongs to the account, the identity provider's user or the
-- token. Earlier commands keep the name.
ALTER TABLE command ADD COLUMN author_identity text COLLATE "C";
UPDATE command SET author_identity = 'name ' || author;
ALTER TABLE command ALTER COLUMN author_identity SET NOT NULL;
ALTER TABLE command DROP CONSTRAINT command_author_idempotency_key_key;
ALTER TABLE command ADD UNIQUE (author_identity, idempotency_key);
