SELECT id
FROM registry
WHERE name = ?1
