-- Looked for first: an insert that finds the login taken would use up an id.
INSERT INTO account (login)
SELECT $1
WHERE NOT EXISTS (SELECT FROM account WHERE login = $1)
ON CONFLICT (login) DO NOTHING
