SELECT account.id, account.login, account.name, key.public_key, key.name, key.subject,
    key.created_at, key.revoked_at, key.vouched
FROM public_key AS key
JOIN account ON account.id = key.account
WHERE $1::text IS NULL OR account.login = $1
ORDER BY key.created_at, key.id
