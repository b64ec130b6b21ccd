SELECT id, revision, name, owners, about
FROM crate
WHERE registry = ?1 AND canonical = ?2
