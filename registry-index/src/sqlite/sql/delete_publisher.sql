DELETE FROM trusted_publisher
WHERE registry = ?1 AND id = ?2
