-- What is kept of a token is HMAC-SHA-256, under a key of this file, of its SHA-256. Those that are
-- here are brought over by the program.
DROP INDEX token_of_user;
ALTER TABLE token RENAME TO plain_token;

-- Mostly one: more if tokens came from other stores. The first is for new tokens, unless the
-- operator has given one that is not kept here.
CREATE TABLE token_key (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 32)
) STRICT;

CREATE TABLE token (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    -- The first 53 bits of the hash.
    id INTEGER NOT NULL UNIQUE,
    user INTEGER NOT NULL REFERENCES user (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'trusted-publisher')),
    -- JSON, as `Scopes` are written.
    scopes TEXT NOT NULL,
    -- JSON: what others than this registry said of the user.
    vouched TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    -- The row is kept, for whoever reads the audit trail.
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_of_user ON token (user, created_at, id);
