SELECT name, number, private, read_only, description, created_at
FROM named_registry
WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2
ORDER BY name
LIMIT ?3
