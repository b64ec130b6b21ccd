SELECT
    token.id, user.id, user.login, user.name, token.name, token.kind, token.scopes,
    token.created_at, token.expires_at, token.last_used_at, token.revoked_at, token.hash,
    token.vouched
FROM token
JOIN user ON user.id = token.user
WHERE token.user = ?1
ORDER BY token.hash
