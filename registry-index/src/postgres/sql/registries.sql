SELECT name, number, private, read_only, description, created_at
FROM named_registry
WHERE name > $1 AND left(name, length($2)) = $2
ORDER BY name
LIMIT $3
