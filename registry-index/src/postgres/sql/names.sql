SELECT canonical
FROM crate
WHERE registry = $1 AND canonical > $2
ORDER BY canonical
LIMIT $3
