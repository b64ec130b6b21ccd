UPDATE named_registry
SET private = $2, read_only = $3, description = $4
WHERE name = $1
RETURNING number
