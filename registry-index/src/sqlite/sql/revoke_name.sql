DELETE FROM approved_name
WHERE registry = ?1 AND canonical = ?2
