INSERT INTO crate (
    registry, canonical, name, revision, etag, owners, about, max_version, words
)
VALUES (:registry, :canonical, :name, 1, :etag, :owners, :about, :max_version, :words)
ON CONFLICT (registry, canonical) DO NOTHING
RETURNING id, revision
