-- docs/adr/0018-office-accounts.md explains the tables.

CREATE TABLE account (
    -- The name in lower case: "Zoé" and "ZOÉ" are one user.
    key text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'cashier', 'manager', 'administrator')),
    -- The shops that the user sees. NULL: all.
    shops text[] CHECK (cardinality(shops) > 0),
    -- Argon2id, in the PHC string format.
    password text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    signed_in timestamptz,
    CHECK (role <> 'administrator' OR shops IS NULL)
);

-- A session of a browser, or a program's token.
CREATE TABLE credential (
    -- Names the credential for people. It is no secret.
    id text COLLATE "C" PRIMARY KEY,
    -- BLAKE3 of the secret.
    digest bytea NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('session', 'token')),
    -- Whose session it is, if the user has a password here: it has the user's role and shops.
    account text COLLATE "C" REFERENCES account (key) ON DELETE CASCADE,
    -- Otherwise the identity provider's name for the user. NULL for a token.
    subject text COLLATE "C",
    name text COLLATE "C",
    role text COLLATE "C" CHECK (role IN ('viewer', 'cashier', 'manager', 'administrator')),
    shops text[] CHECK (cardinality(shops) > 0),
    created timestamptz NOT NULL DEFAULT now(),
    used timestamptz NOT NULL DEFAULT now(),
    -- When it ends in any case. NULL: never.
    expires timestamptz,
    -- Where it was last used from, and by which browser.
    address text COLLATE "C",
    agent text,
    CHECK ((account IS NULL) = (name IS NOT NULL AND role IS NOT NULL)),
    CHECK (role <> 'administrator' OR shops IS NULL)
);

CREATE INDEX credential_by_account ON credential (account);
CREATE INDEX credential_by_subject ON credential (subject);

-- Sign-ins, and changes of accounts.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    address text COLLATE "C",
    action text COLLATE "C" NOT NULL,
    subject text,
    before json,
    after json
);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the table audit are never changed or removed';
END
$$;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
