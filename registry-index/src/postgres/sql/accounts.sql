SELECT id, login, name
FROM account
ORDER BY id
