-- Of many that were found: one name after the other, until there is a page of them. The first OFFSET
-- keeps the words out of the choice of an index.
WITH page AS (
    SELECT crate
    FROM (
        SELECT crate, canonical, words
        FROM crate_words
        WHERE registry = $1
        ORDER BY canonical
        OFFSET 0
    ) AS walked
    WHERE NOT (canonical >= $2 AND canonical < $3) AND words @@ $6::text::tsquery
    ORDER BY canonical
    LIMIT $4 OFFSET $5
)
SELECT crate.name, crate.max_version, crate.about
FROM page
JOIN crate ON crate.id = page.crate
ORDER BY crate.canonical
