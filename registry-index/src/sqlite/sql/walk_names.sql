SELECT id
FROM crate
WHERE registry = ?1 AND max_version IS NOT NULL AND NOT (canonical >= ?2 AND canonical < ?3)
ORDER BY canonical
