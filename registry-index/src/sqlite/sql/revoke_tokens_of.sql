UPDATE token
SET revoked_at = ?2
WHERE user = (SELECT id FROM user WHERE login = ?1) AND revoked_at IS NULL
