SELECT rowid
FROM crate_words
WHERE crate_words MATCH ?1
ORDER BY rowid
LIMIT ?2
