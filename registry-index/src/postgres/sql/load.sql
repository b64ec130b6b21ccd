-- One row for each release, or one alone for a crate without any. The crate's own texts come with
-- the first; neither they nor releases come to an asker who has them.
SELECT
    crate.revision,
    crate.name,
    CASE WHEN is_new AND coalesce(release.position, 0) = 0 THEN crate.owners END,
    CASE WHEN is_new AND coalesce(release.position, 0) = 0 THEN crate.about END,
    release.line,
    release.size,
    release.published_at,
    release.published_by,
    release.state
FROM crate
CROSS JOIN LATERAL (SELECT crate.revision IS DISTINCT FROM $3 AS is_new) AS asker
LEFT JOIN LATERAL (
    SELECT position, line, size, published_at, published_by, state
    FROM release
    WHERE release.crate = crate.id AND is_new
    ORDER BY position
) AS release ON TRUE
WHERE crate.registry = $1 AND crate.canonical = $2
ORDER BY release.position
