-- Of few that were found: all of them are read, by the index of words, and sorted.
WITH found AS MATERIALIZED (
    SELECT crate, canonical
    FROM crate_words
    WHERE registry = $1 AND words @@ $6::text::tsquery
),
page AS (
    SELECT crate
    FROM found
    WHERE NOT (canonical >= $2 AND canonical < $3)
    ORDER BY canonical
    LIMIT $4 OFFSET $5
)
SELECT crate.name, crate.max_version, crate.about
FROM page
JOIN crate ON crate.id = page.crate
ORDER BY crate.canonical
