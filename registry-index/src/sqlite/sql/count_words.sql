SELECT count(*)
FROM (
    SELECT 1
    FROM crate_words
    WHERE crate_words MATCH ?1
    LIMIT ?2
)
