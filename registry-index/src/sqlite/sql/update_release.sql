UPDATE release
SET state = ?3, line = ?4
WHERE crate = ?1 AND version = ?2
