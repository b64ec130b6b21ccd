UPDATE token
SET revoked_at = ?2, last_used_at = ?3
WHERE hash = ?1
