SELECT user.id, user.login, user.name
FROM token
JOIN user ON user.id = token.user
WHERE token.digest = ?1
