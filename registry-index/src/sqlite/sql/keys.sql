SELECT user.id, user.login, user.name, key.public_key, key.name, key.subject, key.created_at,
    key.revoked_at, key.vouched
FROM public_key AS key
JOIN user ON user.id = key.user
WHERE ?1 IS NULL OR user.login = ?1
ORDER BY key.created_at, key.id
