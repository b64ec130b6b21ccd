INSERT INTO token
    (hash, id, user, name, kind, scopes, created_at, expires_at, last_used_at, revoked_at, vouched)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
