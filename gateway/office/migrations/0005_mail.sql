-- Alerts by e-mail share the outbox with the webhook. Each channel has rows of its own, so that none waits for another.
ALTER TABLE notification
    -- `webhook`, or `mail` and the recipient's address.
    ADD COLUMN channel text COLLATE "C" NOT NULL DEFAULT 'webhook',
    -- It is sent even in the quiet hours.
    ADD COLUMN is_severe boolean NOT NULL DEFAULT false,
    -- Of mails: the id of the first message that is sent in the same mail. It stays the same at each attempt.
    ADD COLUMN digest bigint;

CREATE INDEX notification_by_channel ON notification (channel, id);
