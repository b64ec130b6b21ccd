-- The page on the right of a row that is always there: the total is told of an empty page, too.
-- A name that begins with the text has words that begin with its words: the words find all there is.
WITH found AS MATERIALIZED (
    SELECT
        id,
        canonical,
        CASE WHEN canonical = $2 THEN 0 WHEN starts_with(canonical, $2) THEN 1 ELSE 2 END AS rank
    FROM crate
    WHERE registry = $1 AND max_version IS NOT NULL AND words @@ $3::text::tsquery
),
page AS (
    SELECT id, rank, canonical
    FROM found
    ORDER BY rank, canonical
    LIMIT $4 OFFSET $5
)
SELECT total.crates, crate.name, crate.max_version, crate.about
FROM (SELECT count(*) AS crates FROM found) AS total
LEFT JOIN page ON TRUE
LEFT JOIN crate ON crate.id = page.id
ORDER BY page.rank, page.canonical
