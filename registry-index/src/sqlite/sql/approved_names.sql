SELECT canonical, login, approved_at, approved_by
FROM approved_name
WHERE registry = ?1
ORDER BY canonical
