-- The registries that were made by name; others are there because something was published in them.
-- All that is one's own is kept under its key, NAME#NUMBER. AUTOINCREMENT: no other has it later,
-- not even one of the same name.
CREATE TABLE named_registry (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    private INTEGER NOT NULL CHECK (private IN (0, 1)),
    read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

-- A server may not know yet that a registry was deleted: what it publishes there would be lost.
CREATE TRIGGER crate_of_deleted_registry BEFORE INSERT ON crate
WHEN instr(new.registry, '#') > 0 AND NOT EXISTS (
    SELECT 1
    FROM named_registry
    WHERE name = substr(new.registry, 1, instr(new.registry, '#') - 1)
        AND name || '#' || number = new.registry
)
BEGIN
    SELECT RAISE(ABORT, 'the registry was deleted');
END;
