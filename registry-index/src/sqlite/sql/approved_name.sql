SELECT canonical, login, approved_at, approved_by
FROM approved_name
WHERE registry = ?1 AND canonical = ?2
