SELECT name, number, private, read_only, description, created_at
FROM named_registry
WHERE name = $1
