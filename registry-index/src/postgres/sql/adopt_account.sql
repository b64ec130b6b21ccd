WITH adopted AS (
    INSERT INTO account (id, login, name) OVERRIDING SYSTEM VALUE
    VALUES ($1, $2, $3)
)
-- The next id of its own is behind this one. Left alone where it is already: what another process
-- takes meanwhile would be given out again.
SELECT setval(pg_get_serial_sequence('account', 'id'), $1)
FROM account_id_seq
WHERE last_value <= $1
