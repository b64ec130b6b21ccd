SELECT id, login, name
FROM user
ORDER BY id
