-- Looked for first: an insert that finds the login taken would use up an id.
INSERT INTO account (login, name, kind)
SELECT $1, $2, $3
WHERE NOT EXISTS (SELECT FROM account WHERE login = $1)
ON CONFLICT (login) DO NOTHING
RETURNING id
