UPDATE account
SET
    kind = $2,
    password = $3,
    disabled_at = coalesce(disabled_at, $4)
WHERE id = $1
