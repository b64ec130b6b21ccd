WITH adopted AS (
    INSERT INTO account (id, login, name, kind, password, disabled_at) OVERRIDING SYSTEM VALUE
    VALUES ($1, $2, $3, $4, $5, $6)
)
-- The next id of its own is behind this one. Left alone where it is already: what another process
-- takes meanwhile would be given out again.
SELECT setval(pg_get_serial_sequence('account', 'id'), $1)
FROM account_id_seq
WHERE last_value <= $1
