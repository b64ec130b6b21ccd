SELECT count(*)
FROM (
    SELECT 1
    FROM crate
    WHERE registry = ?1 AND max_version IS NOT NULL AND canonical >= ?2 AND canonical < ?3
    LIMIT ?4
)
