UPDATE crate
SET
    revision = revision + 1,
    name = :name,
    etag = :etag,
    owners = :owners,
    about = :about,
    max_version = :max_version,
    search_text = :search_text
WHERE registry = :registry AND canonical = :canonical AND revision = :expected
RETURNING id, revision
