-- The payment_id of the payment that a refund pays back. No earlier version accepted refunds.
ALTER TABLE sale ADD COLUMN refund_of TEXT;
CREATE INDEX sale_refund ON sale (refund_of, store) WHERE refund_of IS NOT NULL;
