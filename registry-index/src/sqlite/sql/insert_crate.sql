INSERT INTO crate (
    registry, canonical, name, revision, etag, owners, about, max_version, search_text
)
VALUES (:registry, :canonical, :name, 1, :etag, :owners, :about, :max_version, :search_text)
ON CONFLICT (registry, canonical) DO NOTHING
RETURNING id, revision
