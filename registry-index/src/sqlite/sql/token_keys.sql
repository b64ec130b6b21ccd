SELECT key
FROM token_key
ORDER BY id
