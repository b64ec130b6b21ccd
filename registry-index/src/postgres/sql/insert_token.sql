INSERT INTO token
    (hash, id, account, name, kind, scopes, created_at, expires_at, last_used_at, revoked_at, vouched)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
