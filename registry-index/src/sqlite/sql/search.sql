-- The page on the right of a row that is always there: the total is told of an empty page, too.
WITH found AS MATERIALIZED (
    SELECT
        id,
        canonical,
        CASE
            WHEN canonical = :name THEN 0
            WHEN substr(canonical, 1, length(:name)) = :name THEN 1
            WHEN instr(canonical, :name) > 0 THEN 2
            WHEN NOT EXISTS (
                SELECT 1
                FROM json_each(:words) AS word
                WHERE instr(canonical, replace(word.value, '-', '_')) = 0
                    AND instr(search_text, word.value) = 0
            ) THEN 3
        END AS rank
    FROM crate
    WHERE registry = :registry AND max_version IS NOT NULL
),
page AS (
    SELECT id, rank, canonical
    FROM found
    WHERE rank IS NOT NULL
    ORDER BY rank, canonical
    LIMIT :limit OFFSET :offset
)
SELECT total.crates, crate.name, crate.max_version, crate.about
FROM (SELECT count(rank) AS crates FROM found) AS total
LEFT JOIN page
LEFT JOIN crate ON crate.id = page.id
ORDER BY page.rank, page.canonical
