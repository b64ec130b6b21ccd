//! Where crate files are kept: the [`CrateStore`] trait.
//!
//! A crate file is stored under its checksum before any index line names it, and never changes.
//! So a store needs no transactions and no conditional writes: putting the same file twice is
//! putting it once, and two uploads with different bytes cannot meet.
//!
//! A complete store, for tests of one's own:
//!
//! ```
//! use std::{collections::BTreeMap, sync::Mutex, time::SystemTime};
//! use bytes::Bytes;
//! use registry_core::store::*;
//!
//! #[derive(Debug, Default)]
//! struct ToyStore(Mutex<BTreeMap<CrateKey, (Bytes, SystemTime)>>);
//!
//! impl ToyStore {
//!     fn stored(&self) -> Vec<StoredCrate> {
//!         let files = self.0.lock().unwrap();
//!         files.iter().map(|(key, (bytes, modified))| StoredCrate {
//!             key: key.clone(), size: bytes.len() as u64, modified: *modified,
//!         }).collect()
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl CrateStore for ToyStore {
//!     async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
//!         let bytes = file.to_bytes().map_err(|error| StoreError::failed("toy", error))?;
//!         self.0.lock().unwrap().insert(key.clone(), (bytes, SystemTime::now()));
//!         Ok(())
//!     }
//!     async fn get(
//!         &self, key: &CrateKey, range: Option<ByteRange>,
//!     ) -> Result<Option<CrateFile>, StoreError> {
//!         let files = self.0.lock().unwrap();
//!         let found = files.get(key);
//!         Ok(found.map(|(bytes, modified)| CrateFile::from_bytes(bytes, range, *modified)))
//!     }
//!     async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
//!         Ok(self.stored().into_iter().find(|stored| stored.key == *key))
//!     }
//!     async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> { Ok(None) }
//!     fn list(&self) -> StoredCrates<'_> {
//!         Box::pin(futures_util::stream::iter(self.stored().into_iter().map(Ok)))
//!     }
//!     async fn ready(&self) -> Result<(), StoreError> { Ok(()) }
//! }
//! ```

mod body;
mod check;
mod collect;
mod file;
mod renew;
mod spool;
mod upkeep;

use std::{error::Error, fmt, io, pin::Pin, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use futures_core::Stream;
use semver::Version;

pub use self::{
    body::{BodyPlace, CrateBody},
    file::{ByteRange, CrateFile, CrateStream},
    spool::{SpoolFolder, SpooledFile},
    upkeep::{AsideCrate, AsideCrates, AsideReason, CrateUpkeep},
};
pub(crate) use self::{
    check::{Checked, Digest, check, of_one_file},
    collect::{CollectError, Collector},
    renew::{bring_back, end, renew, renew_from},
};
use crate::{BoxError, checksum::Checksum, name::CrateName};

/// Keeps crate files.
///
/// The [page of the module](self) has a complete one, and `crate_store_conformance!` of the feature
/// `conformance` proves one. Every method is called on the threads of the runtime: a store that
/// blocks sees to threads of its own. A garbage collection, and putting damaged files aside, take a
/// [`CrateUpkeep`] besides.
#[async_trait]
pub trait CrateStore: fmt::Debug + Send + Sync + 'static {
    /// Stores `file` under `key`; durable and readable when this returns.
    ///
    /// Storing what is already there succeeds, changes nothing a reader can see, and makes it as
    /// young as a new file. It stays readable also if the file that was there is being [set
    /// aside](CrateUpkeep::set_aside), damaged or not. A dropped future, an error or a crash leaves the whole file or none,
    /// never a part of one.
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError>;

    /// Opens the file under `key`, or a part of it, cut to the file by [`ByteRange::within`]; `None`
    /// if there is no file.
    ///
    /// Where damaged files are put aside: [`StoreError::Quarantined`] if all there is was damaged.
    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError>;

    /// What a listing would show of the file under `key`, without opening it; `None` if there is
    /// none. Fails where [`CrateStore::get`] does.
    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError>;

    /// A URL by which a client reads the file under `key` past the registry; `None` if it is to be
    /// read through [`CrateStore::get`]. Whether there is a file need not be asked.
    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError>;

    /// Lists all files, in any order.
    ///
    /// A file that is there during the whole of a listing is listed exactly once.
    fn list(&self) -> StoredCrates<'_>;

    /// Succeeds if the store can be reached and written to.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateStore + ?Sized> CrateStore for Arc<S> {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        (**self).put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        (**self).get(key, range).await
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        (**self).head(key).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        (**self).location(key).await
    }

    fn list(&self) -> StoredCrates<'_> {
        (**self).list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        (**self).ready().await
    }
}

/// What a crate file is stored under.
///
/// The checksum alone would do; name and version are there so that a plain listing of the store
/// explains itself, and so that a `dl` template can lead straight to a file. A path that is made of
/// all three has to hold a name of 64 characters and a version of 150, and may not rely on the
/// difference between a capital and a small letter where a disk ignores it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrateKey {
    /// The crate, as its index lines spell it.
    pub name: CrateName,
    /// Its version, with build metadata.
    pub version: Version,
    /// SHA-256 of the file.
    pub checksum: Checksum,
}

impl fmt::Display for CrateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.checksum)
    }
}

/// One stored file, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCrate {
    /// What it is stored under.
    pub key: CrateKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last put.
    pub modified: SystemTime,
}

/// The files of a store.
pub type StoredCrates<'a> =
    Pin<Box<dyn Stream<Item = Result<StoredCrate, StoreError>> + Send + 'a>>;

/// Why a crate store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room left. Reads go on; writes may be tried again when there is.
    #[error("crate store {backend} is full")]
    Full {
        /// The kind of store.
        backend: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
    /// It cannot be written to for now. Reads go on; writes may be tried again later.
    #[error("crate store {backend} is read-only")]
    ReadOnly {
        /// The kind of store.
        backend: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
    /// The file was found damaged and put aside. It can be read again once it has been repaired.
    #[error("the file of crate `{}` version `{}` is damaged and was put aside", key.name, key.version)]
    Quarantined {
        /// What it is stored under.
        key: Box<CrateKey>,
    },
    /// The store itself failed.
    #[error("crate store {backend} failed")]
    Backend {
        /// The kind of store.
        backend: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// The error of a store that failed: [`StoreError::Full`] or [`StoreError::ReadOnly`] if anywhere
    /// in the chain of causes the operating system says so.
    pub fn failed(backend: &'static str, source: impl Into<BoxError>) -> Self {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let source = source.into();
        match obstacle(source.as_ref()) {
            Some(StorageFull | QuotaExceeded) => Self::Full { backend, source },
            Some(ReadOnlyFilesystem) => Self::ReadOnly { backend, source },
            _ => Self::Backend { backend, source },
        }
    }
}

/// What the operating system said that keeps a store from being written to, but not from being read.
fn obstacle(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if let Some(error) = error.downcast_ref::<io::Error>() {
        if matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull) {
            return Some(error.kind());
        }
        // The error inside one of these is not its source.
        if let Some(found) = error.get_ref().and_then(|inner| obstacle(inner)) {
            return Some(found);
        }
    }
    error.source().and_then(obstacle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Failed(#[source] BoxError);

    #[test]
    fn a_full_disk_is_found_in_the_chain_of_causes() {
        let is_full = |error: BoxError| match StoreError::failed("x", error) {
            StoreError::Full { backend: "x", .. } => true,
            StoreError::ReadOnly { backend: "x", .. } => false,
            StoreError::Backend { backend: "x", .. } => false,
            other => panic!("{other:?}"),
        };
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_full(full().into()));
        assert!(is_full(io::Error::from(io::ErrorKind::QuotaExceeded).into()));
        assert!(is_full(Failed(full().into()).into()));
        assert!(is_full(io::Error::other(io::Error::other(full())).into()));
        assert!(is_full(Failed(Failed(full().into()).into()).into()));
        assert!(!is_full(Failed(io::Error::from(io::ErrorKind::PermissionDenied).into()).into()));
        #[cfg(target_os = "linux")]
        {
            const ENOSPC: i32 = 28;
            assert!(is_full(io::Error::from_raw_os_error(ENOSPC).into()));
        }
    }

    #[test]
    fn a_read_only_disk_is_neither_full_nor_broken() {
        let error = Failed(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into());
        let error = StoreError::failed("x", error);
        assert!(matches!(error, StoreError::ReadOnly { backend: "x", .. }), "{error:?}");
        assert_eq!(error.to_string(), "crate store x is read-only");
    }
}
