-- Numbers that were acked, and whose events were then lost with a part of this file or of its WAL: not waited for, but
-- taken if they are sent again. As JSON: [[from, to], ...].
ALTER TABLE stream ADD COLUMN lost TEXT NOT NULL DEFAULT '[]';
