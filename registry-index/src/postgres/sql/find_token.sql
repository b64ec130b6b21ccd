SELECT account.id, account.login, account.name
FROM token
JOIN account ON account.id = token.account
WHERE token.digest = $1
