SELECT id, canonical, publisher, created_at, created_by
FROM trusted_publisher
WHERE registry = ?1 AND canonical = ?2 AND publisher = ?3
ORDER BY id
