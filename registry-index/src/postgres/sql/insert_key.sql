INSERT INTO public_key (id, public_key, account, name, subject, created_at, revoked_at, vouched)
SELECT $1, $2, account.id, $5, $6, $7, $8, $9
FROM account
WHERE account.id = $3 AND account.login = $4
ON CONFLICT (id) DO NOTHING
RETURNING id
