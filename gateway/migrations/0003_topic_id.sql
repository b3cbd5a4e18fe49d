-- Of the topic in which `next` counts: a topic of the same name that was made anew has another. 16 bytes; NULL: not known.
ALTER TABLE position ADD COLUMN topic_id BLOB;
