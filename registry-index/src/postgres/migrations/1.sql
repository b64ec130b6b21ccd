-- One row: which migrations have been run.
CREATE TABLE registry_schema (
    version integer NOT NULL
);
INSERT INTO registry_schema (version) VALUES (0);

-- One row for each crate of each registry. With room in each page for the next state of a row: then
-- an update touches no index.
CREATE TABLE crate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry text COLLATE "C" NOT NULL,
    -- Lower case, `-` as `_`: what a name is unique by.
    canonical text COLLATE "C" NOT NULL,
    -- As first published.
    name text COLLATE "C" NOT NULL,
    -- Counts the writes to this crate.
    revision bigint NOT NULL,
    -- The validator of the index file, so that "unchanged" is answered by this row alone.
    etag text COLLATE "C" NOT NULL,
    -- JSON, as `Owners` and `About` are written. Not jsonb, which has no U+0000.
    owners text NOT NULL,
    about text NOT NULL,
    -- The highest version that is not yanked, NULL if all are: for the search.
    max_version text COLLATE "C",
    UNIQUE (registry, canonical)
) WITH (fillfactor = 80);

-- The words by which a crate is found, if it has a version that is not yanked. Apart from the crate,
-- because a search reads a row for each crate that it counts: these are a third as long, and are
-- not written by a publish that says nothing new.
CREATE TABLE crate_words (
    crate bigint PRIMARY KEY REFERENCES crate (id),
    registry text COLLATE "C" NOT NULL,
    canonical text COLLATE "C" NOT NULL,
    words tsvector NOT NULL,
    UNIQUE (registry, canonical)
);
-- Not written in bulk from time to time, which the publish whose turn it is would wait for.
CREATE INDEX crate_by_word ON crate_words USING gin (words) WITH (fastupdate = off);

-- One row for each release, by position in the order of publishing.
CREATE TABLE release (
    crate bigint NOT NULL REFERENCES crate (id),
    position integer NOT NULL,
    -- Without build metadata, which does not make another version.
    version text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('published', 'yanked', 'unlisted', 'archived', 'disposed', 'deleted')),
    -- The index line, verbatim, without its line end.
    line text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    published_at bigint NOT NULL,
    published_by text COLLATE "C" NOT NULL,
    PRIMARY KEY (crate, position),
    -- Looked at when a statement ends: on the way to a new order two rows may be one version.
    UNIQUE (crate, version) DEFERRABLE INITIALLY IMMEDIATE
);

-- A sequence does not go back: the id of a user who is gone is nobody else's later. cargo reads ids
-- as 32 bits.
CREATE TABLE account (
    id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 4294967295) PRIMARY KEY,
    login text COLLATE "C" NOT NULL UNIQUE,
    name text
);

CREATE TABLE token (
    -- SHA-256; the token itself is nowhere.
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    account bigint NOT NULL REFERENCES account (id),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX token_of_account ON token (account);
