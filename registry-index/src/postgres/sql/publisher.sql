SELECT id, canonical, publisher, created_at, created_by
FROM trusted_publisher
WHERE registry = $1 AND id = $2
ORDER BY id
