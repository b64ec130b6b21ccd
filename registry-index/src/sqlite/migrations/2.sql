-- Words in place of a text that is looked through: those by which the crate is found, in lower case
-- and parted by spaces. What a word is has been decided by then.
ALTER TABLE crate RENAME COLUMN search_text TO words;

-- A number for each registry, for `crate_words`.
CREATE TABLE registry (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 65533),
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO registry (name)
SELECT DISTINCT registry FROM crate;

-- The crates that a search finds, by name.
CREATE INDEX crate_found ON crate (registry, canonical) WHERE max_version IS NOT NULL;

-- Their words. A character of its own for each registry stands in front of each: one that is in
-- no word, from the private use area U+F0000. So a search in one registry reads nothing of another.
CREATE VIEW crate_found_words AS
SELECT
    crate.id,
    replace(' ' || crate.words, ' ', ' ' || char(983040 + registry.id)) AS words
FROM crate
JOIN registry ON registry.name = crate.registry
WHERE crate.max_version IS NOT NULL;

-- The tokenizer `ascii` parts texts at the spaces, as all else that it would part at is in no word.
-- It is asked for beginnings of words alone: it need not know where in a text a word is, nor how
-- many there are. The prefixes of one to four characters, beside that of the registry, have lists
-- of their own: so many words begin with one that it would take too long to join theirs.
CREATE VIRTUAL TABLE crate_words USING fts5 (
    words,
    content = 'crate_found_words',
    content_rowid = 'id',
    tokenize = 'ascii',
    detail = 'none',
    columnsize = 0,
    prefix = '2 3 4 5'
);
INSERT INTO crate_words (crate_words) VALUES ('rebuild');

CREATE TRIGGER crate_inserted AFTER INSERT ON crate
BEGIN
    INSERT INTO registry (name) VALUES (new.registry) ON CONFLICT DO NOTHING;
    INSERT INTO crate_words (rowid, words)
    SELECT id, words FROM crate_found_words WHERE id = new.id;
END;

-- Before and after, because the words that are taken out have to be those that were put in.
CREATE TRIGGER crate_updating BEFORE UPDATE OF words, max_version ON crate
WHEN old.words <> new.words OR (old.max_version IS NULL) <> (new.max_version IS NULL)
BEGIN
    INSERT INTO crate_words (crate_words, rowid, words)
    SELECT 'delete', id, words FROM crate_found_words WHERE id = old.id;
END;

CREATE TRIGGER crate_updated AFTER UPDATE OF words, max_version ON crate
WHEN old.words <> new.words OR (old.max_version IS NULL) <> (new.max_version IS NULL)
BEGIN
    INSERT INTO crate_words (rowid, words)
    SELECT id, words FROM crate_found_words WHERE id = new.id;
END;

CREATE TRIGGER crate_deleting BEFORE DELETE ON crate
BEGIN
    INSERT INTO crate_words (crate_words, rowid, words)
    SELECT 'delete', id, words FROM crate_found_words WHERE id = old.id;
END;
