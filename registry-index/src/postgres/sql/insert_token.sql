INSERT INTO token (digest, account)
VALUES ($1, $2)
ON CONFLICT (digest) DO NOTHING
