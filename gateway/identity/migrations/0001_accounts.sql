-- A user of the pages.
CREATE TABLE users (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    role TEXT NOT NULL,
    -- Argon2id, in the PHC string format.
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    signed_in_at INTEGER
) STRICT, WITHOUT ROWID;

-- A session, a wall screen or a program's token.
CREATE TABLE credentials (
    -- Names the credential for people. It is no secret.
    id TEXT PRIMARY KEY,
    -- BLAKE3 of the secret.
    digest BLOB NOT NULL UNIQUE,
    -- session, screen or token
    kind TEXT NOT NULL,
    -- Whose session it is; NULL for screens and tokens.
    user_name TEXT COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE,
    -- Name and role of a screen or token; NULL for a session, which has those of its user.
    label TEXT,
    role TEXT,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER,
    -- Where it was last used from, and by which browser.
    address TEXT,
    agent TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX credentials_by_user ON credentials (user_name);

-- Single values, such as the set-up code.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
