-- A database of schema version 1, as the library of that time wrote it. Never edited.
PRAGMA foreign_keys = OFF;
PRAGMA application_id = 1131571026;
PRAGMA user_version = 1;
BEGIN;
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
INSERT INTO "crate" VALUES(1,'main','foo_bar','Foo-Bar',5,'"8f848f75a8f6d26f12a254292a40b618"','[{"id":1,"login":"alice","name":"Alice"},{"id":2,"login":"bob","name":"Bob"}]','{"description":"Reads JSON \"files\" (Größe)","keywords":["parser","no-std"],"homepage":"https://example.com"}','1.0.0','reads json "files" (größe)
parser
no-std');
INSERT INTO "crate" VALUES(2,'main','plain','plain',1,'"379d8a3125e278a7ab8ea925b78f5266"','[{"id":1,"login":"alice","name":"Alice"}]','{}','0.1.0','');
INSERT INTO "crate" VALUES(3,'main','gone','gone',2,'"80886de1b10729ea6ce2939eba43c441"','[{"id":1,"login":"alice","name":"Alice"}]','{"description":"json, all yanked","homepage":"https://example.com"}',NULL,'json, all yanked');
INSERT INTO "crate" VALUES(4,'second','other','other',1,'"56628617a54c58f6ccaea6c3a233754f"','[{"id":1,"login":"alice","name":"Alice"}]','{"description":"json elsewhere","homepage":"https://example.com"}','1.0.0','json elsewhere');
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
INSERT INTO "release" VALUES(1,0,'0.1.0','yanked','{"name":"Foo-Bar","vers":"0.1.0","deps":[],"cksum":"f434b749c42d3f25f534abb86333bfdf585dc7695c70803ffbd7119165de9973","features":{},"yanked":true}',1234,1709208000,'alice');
INSERT INTO "release" VALUES(1,1,'0.2.0','published','{"name":"Foo-Bar","vers":"0.2.0+build.1","deps":[],"cksum":"e9eacd58bad7f2d8cee8ba69c5b6f71bc9f84f2abf2c26cb13acb56ad1effd55","features":{},"yanked":false}',1234,1709208000,'alice');
INSERT INTO "release" VALUES(1,2,'1.0.0','published','{"name":"Foo-Bar","vers":"1.0.0","deps":[],"cksum":"b4ab64977b814109b65b945da8b4cc5fc0e23a01cc04824e628cd81ec4c78901","features":{},"yanked":false}',1234,1709208000,'alice');
INSERT INTO "release" VALUES(2,0,'0.1.0','published','{"name":"plain","vers":"0.1.0","deps":[],"cksum":"1d7b02d3ffcc6a7012d54ab6b6565c2ffafd5524fb03164a0ee715082d7fb9db","features":{},"yanked":false}',1234,1709208000,'alice');
INSERT INTO "release" VALUES(3,0,'1.0.0','yanked','{"name":"gone","vers":"1.0.0","deps":[],"cksum":"a8ab0c7d24e625aede63a92e001366ff5e0f80a9ccbf9df87e5e1457a3797ef5","features":{},"yanked":true}',1234,1709208000,'alice');
INSERT INTO "release" VALUES(4,0,'1.0.0','published','{"name":"other","vers":"1.0.0","deps":[],"cksum":"0692ad8da9f2169d403475d6db4ce06f9cead12baf3e87a7ff0084e6ef29cdee","features":{},"yanked":false}',1234,1709208000,'alice');
CREATE TABLE token (
    -- SHA-256; the token itself is nowhere.
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    user INTEGER NOT NULL REFERENCES user (id),
    created_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;
INSERT INTO "token" VALUES(X'19C28A50B1A09097592E7CEDDB7E0771FF4D469747541A7536579EEF857E05CE',1,1795246288);
INSERT INTO "token" VALUES(X'800480042268218663FEEF3EA54D81ED3F976C98C38D5FD7AFBE22810EC16334',2,1795246288);
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id <= 4294967295),
    login TEXT NOT NULL UNIQUE,
    name TEXT
) STRICT;
INSERT INTO "user" VALUES(1,'alice',NULL);
INSERT INTO "user" VALUES(2,'bob',NULL);
CREATE INDEX token_of_user ON token (user);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('user',2);
COMMIT;
