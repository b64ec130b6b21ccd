WITH page AS (
    SELECT crate
    FROM crate_words
    WHERE registry = $1 AND canonical >= $2 AND canonical < $3
    ORDER BY canonical
    LIMIT $4 OFFSET $5
)
SELECT crate.name, crate.max_version, crate.about
FROM page
JOIN crate ON crate.id = page.crate
ORDER BY crate.canonical
