SELECT name, max_version, about
FROM crate
WHERE id = ?1
