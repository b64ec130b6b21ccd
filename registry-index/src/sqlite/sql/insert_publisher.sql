INSERT INTO trusted_publisher (registry, canonical, publisher, source, created_at, created_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (registry, canonical, publisher) DO NOTHING
