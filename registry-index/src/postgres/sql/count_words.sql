SELECT count(*)
FROM crate_words
WHERE registry = $1 AND words @@ $2::text::tsquery
