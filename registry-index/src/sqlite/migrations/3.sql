-- Users have a kind, and groups are among them: their logins, which begin with `group:`, are nobody
-- else's, and both are owners of crates by id. A password is kept as argon2id's PHC string.
ALTER TABLE user ADD COLUMN kind TEXT NOT NULL DEFAULT 'user'
    CHECK (kind IN ('user', 'service', 'group'));
ALTER TABLE user ADD COLUMN password TEXT;
ALTER TABLE user ADD COLUMN disabled_at INTEGER;

CREATE TABLE membership (
    member INTEGER NOT NULL REFERENCES user (id),
    "group" INTEGER NOT NULL REFERENCES user (id),
    PRIMARY KEY (member, "group")
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_of_group ON membership ("group");

-- Keys whose holders sign tokens by themselves (RFC 3231).
CREATE TABLE public_key (
    -- PASERK, `k3.pid.…`.
    id TEXT PRIMARY KEY,
    -- PASERK, `k3.public.…`.
    public_key TEXT NOT NULL,
    user INTEGER NOT NULL REFERENCES user (id),
    name TEXT NOT NULL,
    -- What the tokens have to name as their subject; NULL: none.
    subject TEXT,
    -- JSON: what others than this registry said of the user.
    vouched TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX public_key_of_user ON public_key (user);

-- What counts once, until it would not count in any case: SHA-256 of it.
CREATE TABLE single_use (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX single_use_until ON single_use (until);

-- Which CI runs may publish a crate without a stored token.
CREATE TABLE trusted_publisher (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry TEXT NOT NULL,
    canonical TEXT NOT NULL,
    -- JSON: the issuer and what its tokens must claim.
    publisher TEXT NOT NULL,
    -- By what it is found when a token comes: kind, issuer and project.
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (registry, canonical, publisher)
) STRICT;
CREATE INDEX trusted_publisher_of_source ON trusted_publisher (registry, source);

-- New names that an administrator has agreed to.
CREATE TABLE approved_name (
    registry TEXT NOT NULL,
    canonical TEXT NOT NULL,
    -- Who may create it; NULL: everybody who may publish.
    login TEXT,
    approved_at INTEGER NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (registry, canonical)
) STRICT, WITHOUT ROWID;

-- Every write and every refused write, in the order in which they were decided.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- Who; NULL: nobody that the registry knows.
    login TEXT,
    -- By which credential; holds no secret.
    credential TEXT,
    action TEXT NOT NULL,
    -- The crate, in canonical form.
    canonical TEXT,
    version TEXT,
    -- `done`, or `refused`.
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
    -- What else there is to say: owners added, why it was refused.
    detail TEXT,
    request TEXT,
    address TEXT
) STRICT;
CREATE INDEX audit_of_crate ON audit (registry, canonical, id);
CREATE INDEX audit_of_login ON audit (registry, login, id);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only added to');
END;
-- REPLACE would delete what is there without a word to the trigger for that.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only added to');
END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only added to');
END;
