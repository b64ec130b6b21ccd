-- The registries that were made by name; others are there because something was published in them.
-- All that is one's own is kept under its key, NAME#NUMBER. A sequence does not go back: no other has
-- it later, not even one of the same name.
CREATE TABLE named_registry (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    private boolean NOT NULL,
    read_only boolean NOT NULL,
    created_at bigint NOT NULL
);

-- A server may not know yet that a registry was deleted: what it publishes there would be lost. The
-- lock keeps a registry from being deleted until its new crate is there to be counted.
CREATE FUNCTION check_registry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
    FROM named_registry
    WHERE name = split_part(new.registry, '#', 1) AND name || '#' || number = new.registry
    FOR KEY SHARE;
    IF NOT found THEN
        RAISE EXCEPTION 'the registry was deleted';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER crate_of_deleted_registry BEFORE INSERT ON crate
FOR EACH ROW WHEN (position('#' IN new.registry) > 0) EXECUTE FUNCTION check_registry();

-- How many crates are in a registry, which is gone unless there are any and `with_crates` is false;
-- NULL if there is none. A function, because each of its statements sees what was committed before.
CREATE FUNCTION delete_registry(text, with_crates boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    key text;
    crates bigint;
BEGIN
    SELECT name || '#' || number INTO key FROM named_registry WHERE name = $1 FOR UPDATE;
    IF NOT found THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO crates FROM crate WHERE registry = key;
    IF crates = 0 OR with_crates THEN
        DELETE FROM release USING crate WHERE release.crate = crate.id AND registry = key;
        DELETE FROM crate_words WHERE registry = key;
        DELETE FROM crate WHERE registry = key;
        DELETE FROM trusted_publisher WHERE registry = key;
        DELETE FROM approved_name WHERE registry = key;
        DELETE FROM named_registry WHERE name = $1;
    END IF;
    RETURN crates;
END
$$;
