DELETE FROM single_use
WHERE digest IN (SELECT digest FROM single_use WHERE until < ?1 LIMIT 100)
