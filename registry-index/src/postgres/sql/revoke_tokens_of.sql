UPDATE token
SET revoked_at = $2
WHERE account = (SELECT id FROM account WHERE login = $1) AND revoked_at IS NULL
