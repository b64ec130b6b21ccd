INSERT INTO release (
    crate, position, version, state, line, size, published_at, published_by
)
VALUES (
    :crate, :position, :version, :state, :line, :size, :published_at, :published_by
)
