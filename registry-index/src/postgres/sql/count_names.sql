SELECT count(*)
FROM (
    SELECT 1
    FROM crate_words
    WHERE registry = $1 AND canonical >= $3 AND canonical < $4
    LIMIT $2
) AS counted
