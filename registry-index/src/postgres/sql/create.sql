-- A crate that is not there yet, with all its releases; no row if it is there.
WITH created AS (
    INSERT INTO crate (
        registry, canonical, name, revision, etag, owners, about, max_version
    )
    VALUES ($1, $2, $3, 1, $4, $5, $6, $7::text)
    ON CONFLICT (registry, canonical) DO NOTHING
    RETURNING id, revision
),
searched AS (
    INSERT INTO crate_words (crate, registry, canonical, words)
    SELECT id, $1, $2, array_to_tsvector($8)
    FROM created
    WHERE $7::text IS NOT NULL
),
audited AS (
    INSERT INTO audit (
        registry, canonical, at, login, credential, action, version, outcome, detail, request,
        address
    )
    SELECT $1, $2, $16::bigint, $17::text, $18::text, $19::text, $20::text,
        $21::text, $22::text, $23::text, $24::text
    FROM created
),
written AS (
    INSERT INTO release (
        crate, position, version, state, line, size, published_at, published_by
    )
    SELECT created.id, new.*
    FROM
        created,
        unnest(
            $9::integer[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
            $15::text[]
        ) AS new (position, version, state, line, size, published_at, published_by)
)
SELECT revision FROM created
