INSERT INTO approved_name (registry, canonical, login, approved_at, approved_by)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (registry, canonical) DO UPDATE
SET login = excluded.login, approved_at = excluded.approved_at, approved_by = excluded.approved_by
