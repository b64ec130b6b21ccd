WITH adopted AS (
    INSERT INTO account (id, login, name) OVERRIDING SYSTEM VALUE
    VALUES ($1, $2, $3)
)
-- The next id of its own is behind this one.
SELECT setval(pg_get_serial_sequence('account', 'id'), greatest($1, last_value))
FROM account_id_seq
