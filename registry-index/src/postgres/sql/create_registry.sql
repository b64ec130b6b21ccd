INSERT INTO named_registry (name, private, read_only, description, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING
RETURNING name, number, private, read_only, description, created_at
