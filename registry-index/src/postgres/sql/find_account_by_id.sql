SELECT id, login, name
FROM account
WHERE id = $1
