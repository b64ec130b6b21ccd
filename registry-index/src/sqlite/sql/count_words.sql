SELECT count(*)
FROM crate_words
WHERE crate_words MATCH ?1
