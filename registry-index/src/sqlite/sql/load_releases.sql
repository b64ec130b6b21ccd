SELECT line, size, published_at, published_by, state
FROM release
WHERE crate = ?1
ORDER BY position
