SELECT name || '#' || number FROM named_registry
UNION
SELECT registry FROM crate
