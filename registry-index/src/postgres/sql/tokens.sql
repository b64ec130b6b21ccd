SELECT account, digest
FROM token
ORDER BY account, digest
