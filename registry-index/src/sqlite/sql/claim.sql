INSERT INTO single_use (digest, until)
VALUES (?1, ?2)
ON CONFLICT (digest) DO NOTHING
