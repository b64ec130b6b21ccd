INSERT INTO token (digest, user)
VALUES (?1, ?2)
ON CONFLICT (digest) DO NOTHING
