-- The lines only for an asker who has not got them: a CASE evaluates what it needs.
SELECT
    name,
    etag,
    CASE WHEN etag IS DISTINCT FROM $3 THEN ARRAY(
        SELECT line
        FROM release
        WHERE release.crate = crate.id AND state IN ('published', 'yanked')
        ORDER BY position
    ) END
FROM crate
WHERE registry = $1 AND canonical = $2
