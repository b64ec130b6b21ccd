//! The easiest backend of one's own: a store of one value per crate.
//!
//! A [`RecordStore`] keeps bytes under names and replaces them if they are unchanged;
//! [`RecordIndex`] makes an [`Index`] of it. A complete store, not durable but otherwise true to
//! the contract:
//!
//! ```
//! use std::{collections::BTreeMap, num::NonZeroUsize, sync::Mutex};
//! use bytes::Bytes;
//! use registry_core::{CanonicalName, IndexError, RecordIndex, RecordStore, index::Revision};
//!
//! #[derive(Debug, Default)]
//! struct ToyStore(Mutex<BTreeMap<CanonicalName, (u64, Bytes)>>);
//!
//! #[async_trait::async_trait]
//! impl RecordStore for ToyStore {
//!     async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
//!         let records = self.0.lock().unwrap();
//!         let found = records.get(name).cloned();
//!         Ok(found.map(|(count, record)| (record, Revision::from(count.to_string()))))
//!     }
//!     async fn put(&self, name: &CanonicalName, expected: Option<&Revision>, record: Bytes) -> Result<Revision, IndexError> {
//!         let mut records = self.0.lock().unwrap();
//!         let count = records.get(name).map(|(count, _)| *count);
//!         if count.map(|count| count.to_string()).as_deref() != expected.map(Revision::as_str) {
//!             return Err(IndexError::Conflict { name: name.clone() });
//!         }
//!         let count = count.unwrap_or(0) + 1;
//!         records.insert(name.clone(), (count, record));
//!         Ok(Revision::from(count.to_string()))
//!     }
//!     async fn names(&self, after: Option<&CanonicalName>, limit: NonZeroUsize) -> Result<Vec<CanonicalName>, IndexError> {
//!         let records = self.0.lock().unwrap();
//!         let rest = records.keys().filter(|name| after.is_none_or(|after| *name > after));
//!         Ok(rest.take(limit.get()).cloned().collect())
//!     }
//!     async fn ready(&self) -> Result<(), IndexError> { Ok(()) }
//! }
//!
//! let index = RecordIndex::new(ToyStore::default());
//!
//! // In a file under `tests/`, with the feature `conformance`: proves the store.
//! registry_core::record_store_conformance!(toy, volatile: async || ToyStore::default());
//! ```
//!
//! # What a store has to prove
//!
//! `record_store_conformance!` asks of it that bytes of any kind and up to 8 MiB come back as they
//! were put, under names of every length and of any likeness; that of many writers exactly one
//! replaces a value, and who did not is told so; that no revision is ever seen again; that a put
//! that is dropped half way leaves the old value or the new one and never lands later; that names
//! are listed in order, without gaps or repeats, while others are added; and of a `durable` store
//! that all of this holds after a restart and between two handles. A store that passes makes an
//! index that passes `index_conformance!`.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use crate::{
    codec::{self, CodecError},
    index::{ETag, Index, IndexError, IndexFile, Lookup, Revision, Stored},
    name::CanonicalName,
    record::{Change, CrateRecord},
};
use async_trait::async_trait;
use bytes::Bytes;

/// Keeps one value per crate, and replaces it atomically.
#[async_trait]
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// The bytes under `name` as they were put, with their revision; `None` if there are none.
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError>;

    /// Replaces the bytes under `name`, if and only if their revision is still `expected`; with
    /// `None`, creates them if and only if there are none.
    ///
    /// Atomic; durable, and visible to every reader, when this returns. A dropped future leaves
    /// the old bytes or the new ones. No two values of one crate have one revision; a checksum will
    /// do, because the bytes of each write are new.
    ///
    /// # Errors
    /// As [`Index::commit`].
    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError>;

    /// As [`Index::names`].
    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError>;

    /// Succeeds if the store can be read and written.
    async fn ready(&self) -> Result<(), IndexError>;
}

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RecordStore + ?Sized> RecordStore for Arc<S> {
    async fn get(&self, name: &CanonicalName) -> Result<Option<(Bytes, Revision)>, IndexError> {
        (**self).get(name).await
    }

    async fn put(
        &self,
        name: &CanonicalName,
        expected: Option<&Revision>,
        record: Bytes,
    ) -> Result<Revision, IndexError> {
        (**self).put(name, expected, record).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        (**self).names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        (**self).ready().await
    }
}

/// An index that keeps each record as one value in a [`RecordStore`].
///
/// The values are laid out by [`codec`]: reading an index file slices the stored
/// bytes, and neither parses nor hashes them. Each write replaces the whole value.
#[derive(Clone, Debug, Default)]
pub struct RecordIndex<S> {
    store: S,
}

impl<S> RecordIndex<S> {
    /// An index over `store`.
    pub fn new(store: S) -> Self {
        Self { store }
    }
}

/// A number that no other write has.
fn write_id() -> Result<u64, IndexError> {
    let failed = |source: getrandom::Error| IndexError::Backend {
        backend: "random numbers",
        source: source.into(),
    };
    getrandom::u64().map_err(failed)
}

fn damaged(source: CodecError) -> IndexError {
    IndexError::Backend { backend: "record store", source: source.into() }
}

#[async_trait]
impl<S: RecordStore> Index for RecordIndex<S> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let Some((record, _)) = self.store.get(name).await? else {
            return Ok(Lookup::Absent);
        };
        let file = codec::index_file(record).map_err(damaged)?;
        Ok(Lookup::of(Some(file), known))
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        match self.store.get(name).await? {
            None => Ok(Lookup::Absent),
            Some((_, revision)) if Some(&revision) == known => Ok(Lookup::Unchanged),
            Some((record, revision)) => {
                let record = codec::decode(record).map_err(damaged)?;
                Ok(Lookup::Found(Stored { record, revision }))
            }
        }
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        _change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let record = codec::encode(next, write_id()?);
        self.store.put(&next.name().canonical(), expected, record).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.store.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.store.ready().await
    }
}
