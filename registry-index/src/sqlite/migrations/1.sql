-- One row for each crate of each registry.
CREATE TABLE crate (
    id INTEGER PRIMARY KEY,
    registry TEXT NOT NULL,
    -- Lower case, `-` as `_`: what a name is unique by.
    canonical TEXT NOT NULL,
    -- As first published.
    name TEXT NOT NULL,
    -- Counts the writes to this crate.
    revision INTEGER NOT NULL,
    -- The validator of the index file, so that "unchanged" is answered by this row alone.
    etag TEXT NOT NULL,
    -- JSON, as `Owners` and `About` are written.
    owners TEXT NOT NULL,
    about TEXT NOT NULL,
    -- For the search: the highest version that is not yanked, NULL if all are, and the description
    -- and keywords in lower case, one a line.
    max_version TEXT,
    search_text TEXT NOT NULL,
    UNIQUE (registry, canonical)
) STRICT;

-- One row for each release, in the order of publishing. Stored by crate and position, so that the
-- lines of one index file lie side by side.
CREATE TABLE release (
    crate INTEGER NOT NULL REFERENCES crate (id),
    position INTEGER NOT NULL,
    -- Without build metadata, which does not make another version.
    version TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('published', 'yanked', 'unlisted', 'archived', 'disposed', 'deleted')),
    -- The index line, verbatim, without its line end.
    line TEXT NOT NULL,
    size INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    published_by TEXT NOT NULL,
    PRIMARY KEY (crate, position),
    UNIQUE (crate, version)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the id of a user who is gone is nobody else's later. cargo reads ids as 32 bits.
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id <= 4294967295),
    login TEXT NOT NULL UNIQUE,
    name TEXT
) STRICT;

CREATE TABLE token (
    -- SHA-256; the token itself is nowhere.
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    user INTEGER NOT NULL REFERENCES user (id),
    created_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;
CREATE INDEX token_of_user ON token (user);
