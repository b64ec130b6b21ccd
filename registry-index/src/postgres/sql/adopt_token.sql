INSERT INTO token
    (hash, id, account, name, kind, scopes, created_at, expires_at, last_used_at, revoked_at, vouched)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (hash) DO UPDATE
SET
    last_used_at = greatest(token.last_used_at, excluded.last_used_at),
    revoked_at = coalesce(token.revoked_at, excluded.revoked_at)
WHERE token.account = excluded.account
