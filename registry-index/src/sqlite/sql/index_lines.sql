SELECT line
FROM release
WHERE crate = ?1 AND state IN ('published', 'yanked')
ORDER BY position
