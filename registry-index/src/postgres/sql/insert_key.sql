INSERT INTO public_key (id, public_key, account, name, subject, created_at, revoked_at, vouched)
SELECT $1, $2, account.id, $4, $5, $6, $7, $8
FROM account
WHERE account.login = $3
ON CONFLICT (id) DO NOTHING
