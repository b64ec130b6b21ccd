SELECT
    token.id, account.id, account.login, account.name, token.name, token.kind, token.scopes,
    token.created_at, token.expires_at, token.last_used_at, token.revoked_at, token.hash,
    token.vouched
FROM token
JOIN account ON account.id = token.account
WHERE token.hash = ANY ($1)
