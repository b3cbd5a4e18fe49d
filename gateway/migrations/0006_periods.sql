-- Lists of a period, and of a device. SQLite appends the row's number, which orders sales of the same time.
CREATE INDEX sale_time ON sale (kind, time);
-- A payment names its device, orders and deliveries their creator.
CREATE INDEX sale_device ON sale (kind, coalesce(nullif(device, ''), creator), time);
