DELETE FROM release
WHERE crate = ?1
