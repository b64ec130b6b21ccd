SELECT count(*)
FROM crate_words
WHERE registry = $1 AND canonical >= $2 AND canonical < $3
