DELETE FROM trusted_publisher
WHERE registry = $1 AND id = $2
RETURNING id, canonical, publisher, created_at, created_by
