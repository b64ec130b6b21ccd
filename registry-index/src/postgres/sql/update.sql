-- The next state of a crate, unless its revision is another one: then no row. Of its releases only
-- those that differ are given, and how many there are in all.
WITH updated AS (
    UPDATE crate
    SET
        revision = revision + 1,
        name = $3,
        etag = $4,
        owners = $5,
        about = $6,
        max_version = $7::text
    WHERE registry = $1 AND canonical = $2 AND revision = $16
    RETURNING id, revision
),
hidden AS (
    DELETE FROM crate_words
    USING updated
    WHERE crate_words.crate = updated.id AND $7::text IS NULL
),
searched AS (
    INSERT INTO crate_words (crate, registry, canonical, words)
    SELECT id, $1, $2, array_to_tsvector($8)
    FROM updated
    WHERE
        $7::text IS NOT NULL
        AND NOT EXISTS (
            SELECT
            FROM crate_words
            WHERE crate_words.crate = updated.id AND crate_words.words = array_to_tsvector($8)
        )
    ON CONFLICT (crate) DO UPDATE
    SET words = excluded.words
),
dropped AS (
    DELETE FROM release
    USING updated
    WHERE release.crate = updated.id AND release.position >= $17
),
audited AS (
    INSERT INTO audit (
        registry, canonical, at, login, credential, action, version, outcome, detail, request,
        address
    )
    SELECT $1, $2, $18::bigint, $19::text, $20::text, $21::text, $22::text,
        $23::text, $24::text, $25::text, $26::text
    FROM updated
),
written AS (
    INSERT INTO release (
        crate, position, version, state, line, size, published_at, published_by
    )
    SELECT updated.id, new.*
    FROM
        updated,
        unnest(
            $9::integer[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
            $15::text[]
        ) AS new (position, version, state, line, size, published_at, published_by)
    ON CONFLICT (crate, position) DO UPDATE
    SET
        version = excluded.version,
        state = excluded.state,
        line = excluded.line,
        size = excluded.size,
        published_at = excluded.published_at,
        published_by = excluded.published_by
    -- The line tells the version; a row that is as it was is left alone.
    WHERE
        (release.state, release.line, release.size, release.published_at, release.published_by)
        IS DISTINCT FROM
        (excluded.state, excluded.line, excluded.size, excluded.published_at, excluded.published_by)
)
SELECT revision FROM updated
