SELECT digest
FROM token
WHERE user = ?1
ORDER BY digest
