-- The page on the right of a row that is always there: the total is told of an empty page, too.
WITH page AS (
    SELECT canonical, name, max_version, about
    FROM crate
    WHERE registry = $1 AND max_version IS NOT NULL
    ORDER BY canonical
    LIMIT $2 OFFSET $3
)
SELECT total.crates, page.name, page.max_version, page.about
FROM (
    SELECT count(*) AS crates FROM crate WHERE registry = $1 AND max_version IS NOT NULL
) AS total
LEFT JOIN page ON TRUE
ORDER BY page.canonical
