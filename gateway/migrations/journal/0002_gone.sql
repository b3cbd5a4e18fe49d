-- Numbers that a terminal says it no longer holds, and that never came here although its epoch was known: lost on its
-- flash, or acked by another journal. As JSON: [[from, to], ...].
ALTER TABLE stream ADD COLUMN gone TEXT NOT NULL DEFAULT '[]';
