SELECT id, login, name
FROM user
WHERE login = ?1
