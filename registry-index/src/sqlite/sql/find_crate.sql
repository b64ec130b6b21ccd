SELECT id, name, etag
FROM crate
WHERE registry = ?1 AND canonical = ?2
