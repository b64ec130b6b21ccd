-- Few are found: each is read, and all are sorted. CROSS, so that it begins with the words.
SELECT crate.name, crate.max_version, crate.about
FROM crate_words
CROSS JOIN crate ON crate.id = crate_words.rowid
WHERE crate_words MATCH ?1 AND NOT (crate.canonical >= ?2 AND crate.canonical < ?3)
ORDER BY crate.canonical
LIMIT ?4 OFFSET ?5
