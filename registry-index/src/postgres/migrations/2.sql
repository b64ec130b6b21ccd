-- Accounts have a kind, and groups are among them: their logins, which begin with `group:`, are
-- nobody else's, and both are owners of crates by id. A password is kept as argon2id's PHC string.
ALTER TABLE account
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'user'
        CHECK (kind IN ('user', 'service', 'group')),
    ADD COLUMN password text COLLATE "C",
    ADD COLUMN disabled_at bigint;

CREATE TABLE membership (
    member bigint NOT NULL REFERENCES account (id),
    "group" bigint NOT NULL REFERENCES account (id),
    PRIMARY KEY (member, "group")
);
CREATE INDEX membership_of_group ON membership ("group");

-- Keys whose holders sign tokens by themselves (RFC 3231).
CREATE TABLE public_key (
    -- PASERK, `k3.pid.…`.
    id text COLLATE "C" PRIMARY KEY,
    -- PASERK, `k3.public.…`.
    public_key text COLLATE "C" NOT NULL,
    account bigint NOT NULL REFERENCES account (id),
    name text NOT NULL,
    -- What the tokens have to name as their subject; NULL: none.
    subject text COLLATE "C",
    -- JSON: what others than this registry said of the user.
    vouched text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);
CREATE INDEX public_key_of_account ON public_key (account);

-- What counts once, until it would not count in any case: SHA-256 of it.
CREATE TABLE single_use (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    until bigint NOT NULL
);
CREATE INDEX single_use_until ON single_use (until);

-- Which CI runs may publish a crate without a stored token.
CREATE TABLE trusted_publisher (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry text COLLATE "C" NOT NULL,
    canonical text COLLATE "C" NOT NULL,
    -- JSON: the issuer and what its tokens must claim.
    publisher text COLLATE "C" NOT NULL,
    -- By what it is found when a token comes: kind, issuer and project.
    source text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    UNIQUE (registry, canonical, publisher)
);
CREATE INDEX trusted_publisher_of_source ON trusted_publisher (registry, source);

-- New names that an administrator has agreed to.
CREATE TABLE approved_name (
    registry text COLLATE "C" NOT NULL,
    canonical text COLLATE "C" NOT NULL,
    -- Who may create it; NULL: everybody who may publish.
    login text COLLATE "C",
    approved_at bigint NOT NULL,
    approved_by text COLLATE "C" NOT NULL,
    PRIMARY KEY (registry, canonical)
);

-- Every write and every refused write. The ids of writes that are decided at the same time are in
-- no order.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    -- Who; NULL: nobody that the registry knows.
    login text COLLATE "C",
    -- By which credential; holds no secret.
    credential text COLLATE "C",
    action text COLLATE "C" NOT NULL,
    -- The crate, in canonical form.
    canonical text COLLATE "C",
    version text COLLATE "C",
    -- `done`, or `refused`.
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'refused')),
    -- What else there is to say: owners added, why it was refused.
    detail text,
    request text COLLATE "C",
    address text COLLATE "C"
);
CREATE INDEX audit_of_crate ON audit (registry, canonical, id);
CREATE INDEX audit_of_login ON audit (registry, login, id);

CREATE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only added to';
END
$$;
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_only_added_to();
