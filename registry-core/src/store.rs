//! Where crate files are kept: the [`CrateStore`] trait.
//!
//! A crate file is stored under its checksum before any index line names it, and never changes.
//! So a store needs no transactions and no conditional writes: putting the same file twice is
//! putting it once, and two uploads with different bytes cannot meet.
//!
//! A complete store, for tests of one's own:
//!
//! ```
//! use std::{collections::BTreeMap, num::NonZeroUsize, sync::Mutex, time::SystemTime};
//! use registry_core::store::*;
//!
//! #[derive(Debug, Default)]
//! struct ToyStore(Mutex<BTreeMap<CrateKey, (CrateBody, SystemTime)>>);
//!
//! #[async_trait::async_trait]
//! impl CrateStore for ToyStore {
//!     async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
//!         self.0.lock().unwrap().entry(key.clone()).or_insert((file, SystemTime::now()));
//!         Ok(())
//!     }
//!     async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
//!         let files = self.0.lock().unwrap();
//!         Ok(files.get(key).map(|(file, modified)| CrateFile::from_body(file.clone(), *modified)))
//!     }
//!     async fn delete(&self, key: &CrateKey) -> Result<(), StoreError> {
//!         self.0.lock().unwrap().remove(key);
//!         Ok(())
//!     }
//!     async fn list(
//!         &self, after: Option<&CrateKey>, limit: NonZeroUsize,
//!     ) -> Result<Vec<StoredCrate>, StoreError> {
//!         let files = self.0.lock().unwrap();
//!         let rest = files.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
//!         Ok(rest.take(limit.get()).map(|(key, (file, modified))| StoredCrate {
//!             key: key.clone(), size: file.len(), modified: *modified,
//!         }).collect())
//!     }
//!     async fn ready(&self) -> Result<(), StoreError> { Ok(()) }
//! }
//! ```

use std::{
    fmt, io,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures_core::Stream;
use semver::Version;

use crate::{BoxError, checksum::Checksum, name::CanonicalName};

/// Keeps crate files.
///
/// The [page of the module](self) has a complete one.
#[async_trait]
pub trait CrateStore: fmt::Debug + Send + Sync + 'static {
    /// Stores `file` under `key`; durable and readable when this returns.
    ///
    /// Storing what is already there succeeds and changes nothing a reader can see. A dropped
    /// future, an error or a crash leaves the whole file or none, never a part of one.
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError>;

    /// Opens the file under `key`; `None` if there is none.
    async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError>;

    /// Removes the file under `key`, if there is one. Only a garbage collection calls this.
    async fn delete(&self, key: &CrateKey) -> Result<(), StoreError>;

    /// Lists up to `limit` files in the order of [`CrateKey`], beginning behind `after`.
    ///
    /// A file that is there during the whole of a listing is listed exactly once.
    async fn list(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError>;

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

    async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
        (**self).get(key).await
    }

    async fn delete(&self, key: &CrateKey) -> Result<(), StoreError> {
        (**self).delete(key).await
    }

    async fn list(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError> {
        (**self).list(after, limit).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        (**self).ready().await
    }
}

/// What a crate file is stored under.
///
/// The checksum alone would do; name and version are there so that a plain listing of the store
/// explains itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrateKey {
    /// The crate.
    pub name: CanonicalName,
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

/// The bytes of a crate file, in pieces as they came. Clones share the bytes.
#[derive(Clone, Default)]
pub struct CrateBody {
    chunks: Arc<[Bytes]>,
    len: u64,
}

impl CrateBody {
    /// The pieces, in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the bytes from the first to the last.
    pub fn reader(&self) -> impl io::Read + use<> {
        CrateBodyReader { body: self.clone(), next: 0, current: Bytes::new() }
    }
}

impl From<Vec<Bytes>> for CrateBody {
    fn from(chunks: Vec<Bytes>) -> Self {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks: chunks.into(), len }
    }
}

impl From<Bytes> for CrateBody {
    fn from(bytes: Bytes) -> Self {
        vec![bytes].into()
    }
}

impl fmt::Debug for CrateBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateBody").field("len", &self.len).finish_non_exhaustive()
    }
}

struct CrateBodyReader {
    body: CrateBody,
    next: usize,
    current: Bytes,
}

impl io::Read for CrateBodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(chunk) = self.body.chunks.get(self.next) else {
                return Ok(0);
            };
            self.current = chunk.clone();
            self.next += 1;
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// A stored file, opened for reading.
pub struct CrateFile {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last put.
    pub modified: SystemTime,
    /// Its bytes. Ends with an error rather than early.
    pub body: CrateStream,
}

/// The bytes of an open crate file.
pub type CrateStream = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

impl CrateFile {
    /// A file whose bytes are in memory.
    pub fn from_body(body: CrateBody, modified: SystemTime) -> Self {
        Self { size: body.len(), modified, body: Box::pin(BodyStream { body, next: 0 }) }
    }

    /// Reads the whole file into memory.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails on the way.
    pub async fn bytes(mut self) -> Result<Bytes, StoreError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next_chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.into())
    }

    /// The next bytes; `None` behind the last.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails on the way.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, StoreError>> {
        std::future::poll_fn(|cx| self.body.as_mut().poll_next(cx)).await
    }
}

impl fmt::Debug for CrateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateFile").field("size", &self.size).finish_non_exhaustive()
    }
}

struct BodyStream {
    body: CrateBody,
    next: usize,
}

impl Stream for BodyStream {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = self.body.chunks.get(self.next).cloned();
        self.next += 1;
        Poll::Ready(chunk.map(Ok))
    }
}

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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_body_reads_as_its_pieces_joined() {
        let body: CrateBody = vec![Bytes::from("ab"), Bytes::new(), Bytes::from("cde")].into();
        assert_eq!((body.len(), body.is_empty()), (5, false));
        let mut text = String::new();
        body.reader().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
        assert!(CrateBody::default().is_empty());
    }
}
