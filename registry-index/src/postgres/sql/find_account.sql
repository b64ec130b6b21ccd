SELECT id, login, name
FROM account
WHERE login = $1
