-- Payments may be sent before other entries: every payment at or below `payments` is in Kafka, even beyond `offset`.
ALTER TABLE watermark ADD COLUMN payments INTEGER NOT NULL DEFAULT 0;
