-- What is kept of a token is HMAC-SHA-256, under a key of this database, of its SHA-256. Those that
-- are here are brought over by the program.
ALTER TABLE token RENAME TO plain_token;
ALTER TABLE plain_token RENAME CONSTRAINT token_pkey TO plain_token_pkey;
DROP INDEX token_of_account;

-- Mostly one: more if tokens came from other stores. The first is for new tokens, unless the
-- operator has given one that is not kept here.
CREATE TABLE token_key (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key bytea NOT NULL UNIQUE CHECK (length(key) = 32)
);

CREATE TABLE token (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    -- The first 53 bits of the hash.
    id bigint NOT NULL UNIQUE,
    account bigint NOT NULL REFERENCES account (id),
    name text NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('user', 'trusted-publisher')),
    -- JSON, as `Scopes` are written.
    scopes text NOT NULL,
    -- JSON: what others than this registry said of the user.
    vouched text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used_at bigint,
    -- The row is kept, for whoever reads the audit trail.
    revoked_at bigint
);
CREATE INDEX token_of_account ON token (account, created_at, id);
