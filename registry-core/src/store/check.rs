//! Whether a stored file is what its key says.

use super::{CrateFile, CrateKey, CrateStore, StoreError};
use crate::checksum::{Checksum, ChecksumHasher};

/// What is under a key.
#[derive(Debug)]
pub(crate) enum Checked {
    /// The file.
    Whole,
    /// Something of another checksum, or of another length than was expected.
    Damaged,
    /// Nothing.
    Missing,
    /// A damaged file was, and is aside now.
    Quarantined,
    /// It cannot be read to its end.
    Unreadable(StoreError),
}

/// What some bytes are, as far as a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) checksum: Checksum,
    pub(crate) size: u64,
}

impl Digest {
    /// Reads a file to its end.
    pub(crate) async fn of(mut file: CrateFile) -> Result<Self, StoreError> {
        let (mut hasher, mut size) = (ChecksumHasher::new(), 0);
        while let Some(chunk) = file.next_chunk().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            hasher.update(&chunk);
        }
        Ok(Self { checksum: hasher.finish(), size })
    }

    /// Whether this is what `key` names, and has the length that was published, if that is known.
    pub(crate) fn is_of(self, key: &CrateKey, published: Option<u64>) -> bool {
        self.checksum == key.checksum && published.is_none_or(|size| size == self.size)
    }
}

/// Reads the file under `key`, and holds it against its checksum, and against the length that was
/// published, if that is known.
///
/// # Errors
/// [`StoreError`] if the store fails as a whole, and not only for this file.
pub(crate) async fn check(
    store: &dyn CrateStore,
    key: &CrateKey,
    published: Option<u64>,
) -> Result<Checked, StoreError> {
    let read = async {
        let Some(file) = store.get(key, None).await? else { return Ok(None) };
        Digest::of(file).await.map(Some)
    };
    match read.await {
        Ok(Some(found)) if found.is_of(key, published) => Ok(Checked::Whole),
        Ok(Some(_)) => Ok(Checked::Damaged),
        Ok(None) => Ok(Checked::Missing),
        Err(StoreError::Quarantined { .. }) => Ok(Checked::Quarantined),
        Err(error) => of_one_file(store, error).await.map(Checked::Unreadable),
    }
}

/// The failure of one file, if it is no more than that.
///
/// # Errors
/// The same, if the store fails as a whole.
pub(crate) async fn of_one_file(
    store: &dyn CrateStore,
    error: StoreError,
) -> Result<StoreError, StoreError> {
    match store.ready().await {
        // One that cannot be written to may be read from as ever.
        Ok(()) | Err(StoreError::Full { .. } | StoreError::ReadOnly { .. }) => Ok(error),
        Err(_) => Err(error),
    }
}
