-- Those of a user's own that count.
SELECT count(*)
FROM token
WHERE account = $1
    AND kind = 'user'
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > $2)
