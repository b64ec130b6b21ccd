UPDATE crate
SET
    revision = revision + 1,
    name = :name,
    etag = :etag,
    owners = :owners,
    about = :about,
    max_version = :max_version,
    words = :words
WHERE registry = :registry AND canonical = :canonical AND revision = :expected
RETURNING id, revision
