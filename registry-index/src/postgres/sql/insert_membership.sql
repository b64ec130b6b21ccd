INSERT INTO membership (member, "group")
VALUES ($1, $2)
ON CONFLICT DO NOTHING
