SELECT id, login, name
FROM user
WHERE id = ?1
