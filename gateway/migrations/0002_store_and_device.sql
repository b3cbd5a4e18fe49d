-- Shops and tills number their receipts independently. Orders and deliveries are one within a store, payments within a
-- store and device.
ALTER TABLE sale ADD COLUMN store TEXT NOT NULL DEFAULT '';
ALTER TABLE sale ADD COLUMN device TEXT NOT NULL DEFAULT '';  -- of a payment; otherwise empty

-- What came from Kafka says whose it is. Rows of the journal's own entries are completed from the journal (see
-- src/projection/upgrade.rs), which SQL cannot reach.
UPDATE sale SET
    store = coalesce(
        CASE WHEN json_valid(payload) THEN payload ->> 'store' END,
        substr(name, 1, max(instr(name, '/') - 1, 0))),
    device = CASE kind WHEN 1 THEN coalesce(
        CASE WHEN json_valid(payload) THEN payload ->> 'device' END,
        substr(substr(name, instr(name, '/') + 1), 1, max(instr(substr(name, instr(name, '/') + 1), '/') - 1, 0)))
        ELSE '' END
WHERE entry IS NULL AND name IS NOT NULL;

DROP INDEX sale_id;
CREATE UNIQUE INDEX sale_id ON sale (kind, id, store, device);
DROP INDEX sale_order;
CREATE INDEX sale_order ON sale (order_id, store) WHERE order_id IS NOT NULL;

-- Hours become quarters of an hour, which fit every time zone: what happened in an hour is counted in its first quarter.
UPDATE progress SET totals = json_set(
    json_remove(totals, '$.hours'), '$.quarters',
    (SELECT json_group_object(CAST(key * 4 AS TEXT), json(value)) FROM json_each(totals, '$.hours')));

-- 1: rows of the journal's own entries do not say whose they are yet.
ALTER TABLE progress ADD COLUMN layout INTEGER NOT NULL DEFAULT 1;
