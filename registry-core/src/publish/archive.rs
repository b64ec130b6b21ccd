//! The crate file.

/// Why a crate file is not an archive that every reader reads alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Not one gzip member with a tar archive in it, or more than a limit allows.
    #[error("uploaded tarball is malformed or too large when decompressed")]
    Malformed,
}
