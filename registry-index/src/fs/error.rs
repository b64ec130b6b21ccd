use std::{
    io,
    path::{Path, PathBuf},
};

use registry_core::{IndexError, codec::CodecError};

use super::BACKEND;

/// What went wrong in the folder, and with which file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Gone, or not mounted: to begin anew here would be to forget every crate.
    #[error("the index folder `{}` was moved or removed while it was in use", path.display())]
    Gone { path: PathBuf },
    #[error("`{}` is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("`{}` is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("the record `{}` is damaged", path.display())]
    Damaged { path: PathBuf, source: CodecError },
    #[error("the record `{}` is that of another crate", path.display())]
    OtherCrate { path: PathBuf },
    #[error("there are no random numbers")]
    Random(#[source] getrandom::Error),
}

impl FolderError {
    /// Whether it is about what is in one file, and says nothing of the others.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::OtherCrate { .. } | Self::NotAFile { .. })
    }

    fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

impl From<FolderError> for IndexError {
    /// An error after which nothing has been written.
    fn from(error: FolderError) -> Self {
        let is_full = error.is_full();
        let source = error.into();
        match is_full {
            true => Self::Full { backend: BACKEND, source },
            false => Self::Backend { backend: BACKEND, source },
        }
    }
}

/// Adds what an error of the operating system does not say.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FolderError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FolderError> {
        self.map_err(|source| FolderError::Io { action, path: path.into(), source })
    }
}
