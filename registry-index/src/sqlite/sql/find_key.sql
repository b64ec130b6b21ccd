SELECT user.id, user.login, user.name, key.public_key, key.name, key.subject, key.created_at,
    key.revoked_at, key.vouched
FROM public_key AS key
JOIN user ON user.id = key.user
WHERE key.id = ?1
