SELECT count(*)
FROM (
    SELECT 1
    FROM crate_words
    WHERE registry = $1 AND words @@ $3::text::tsquery
    LIMIT $2
) AS counted
