UPDATE token
SET last_used_at = greatest(token.last_used_at, use.at)
FROM (
    SELECT id, max(at) AS at
    FROM unnest($1::bigint[], $2::bigint[]) AS use (id, at)
    GROUP BY id
) AS use
WHERE token.id = use.id
