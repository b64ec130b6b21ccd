SELECT
    id, at, login, credential, action, canonical, version, outcome, detail, request, address
FROM audit
WHERE
    registry = $1
    AND id > $2
    AND ($3::text IS NULL OR login = $3)
    AND ($4::text IS NULL OR canonical = $4)
    AND ($5::text IS NULL OR action = $5)
    AND ($6::text IS NULL OR outcome = $6)
    AND ($7::bigint IS NULL OR at >= $7)
    AND ($8::bigint IS NULL OR at < $8)
ORDER BY id
LIMIT $9
