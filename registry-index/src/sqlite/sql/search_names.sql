SELECT name, max_version, about
FROM crate
WHERE registry = ?1 AND max_version IS NOT NULL AND canonical >= ?2 AND canonical < ?3
ORDER BY canonical
LIMIT ?4 OFFSET ?5
