//! Where the registry's state is kept: the [`Index`] trait.
//!
//! An index is a compare-and-swap store of one [`CrateRecord`] per crate. It decides nothing: what
//! may be published, yanked or owned is decided by the record's own transitions, and an index only
//! has to replace one record by the next, if nobody else did so first.
//!
//! A complete index, not durable but otherwise true to the contract:
//!
//! ```
//! use std::{collections::BTreeMap, num::NonZeroUsize, sync::Mutex};
//! use registry_core::{CanonicalName, CrateRecord, index::*, record::Change};
//!
//! #[derive(Debug, Default)]
//! struct ToyIndex(Mutex<BTreeMap<CanonicalName, (u64, CrateRecord)>>);
//!
//! #[async_trait::async_trait]
//! impl Index for ToyIndex {
//!     async fn index_file(
//!         &self, name: &CanonicalName, known: Option<&ETag>,
//!     ) -> Result<Lookup<IndexFile>, IndexError> {
//!         let records = self.0.lock().unwrap();
//!         Ok(Lookup::of(records.get(name).map(|(_, record)| record.index_file()), known))
//!     }
//!     async fn load(
//!         &self, name: &CanonicalName, known: Option<&Revision>,
//!     ) -> Result<Lookup<Stored>, IndexError> {
//!         let stored = self.0.lock().unwrap().get(name).map(|(revision, record)| Stored {
//!             record: record.clone(), revision: Revision::from(revision.to_string()),
//!         });
//!         Ok(Lookup::of_stored(stored, known))
//!     }
//!     async fn commit(
//!         &self, expected: Option<&Revision>, _: &Change, next: &CrateRecord,
//!     ) -> Result<Revision, IndexError> {
//!         let name = next.name().canonical();
//!         let mut records = self.0.lock().unwrap();
//!         let stored = records.get(&name).map(|(revision, _)| *revision);
//!         if stored.map(|r| r.to_string()).as_deref() != expected.map(Revision::as_str) {
//!             return Err(IndexError::Conflict { name });
//!         }
//!         let revision = stored.unwrap_or(0) + 1;
//!         records.insert(name, (revision, next.clone()));
//!         Ok(Revision::from(revision.to_string()))
//!     }
//!     async fn names(
//!         &self, after: Option<&CanonicalName>, limit: NonZeroUsize,
//!     ) -> Result<Vec<CanonicalName>, IndexError> {
//!         let records = self.0.lock().unwrap();
//!         let rest = records.keys().filter(|name| after.is_none_or(|after| *name > after));
//!         Ok(rest.take(limit.get()).cloned().collect())
//!     }
//!     async fn ready(&self) -> Result<(), IndexError> { Ok(()) }
//! }
//! ```

use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

pub use crate::index_file::{ETag, IndexFile};
use crate::{
    BoxError,
    name::CanonicalName,
    record::{Change, CrateRecord},
};

/// Keeps one record per crate, and replaces it atomically.
///
/// The [page of the module](self) has a complete one.
#[async_trait]
pub trait Index: fmt::Debug + Send + Sync + 'static {
    /// The index file of a crate exactly as cargo reads it.
    ///
    /// `known` is a validator the asker holds: if the file still has it, the answer is
    /// [`Lookup::Unchanged`], for which a backend may get by without reading the body.
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError>;

    /// The same answer, if it can be given at once and out of memory: nobody has to be asked and
    /// nothing to be made for it. `None` says nothing. Default: `None`.
    ///
    /// Asked first for what cargo reads, so that an answer from a cache takes no future of its own.
    fn try_index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Option<Lookup<IndexFile>> {
        let _ = (name, known);
        None
    }

    /// A crate's record with its revision.
    ///
    /// `known` is the revision of a record that the asker holds: if it is still that of the crate,
    /// the answer is [`Lookup::Unchanged`], for which a backend may get by without reading the
    /// record. Without it the answer is never [`Lookup::Unchanged`].
    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError>;

    /// Replaces the record of `next`'s crate, if and only if its revision is still `expected`;
    /// with `None`, creates it if and only if there is none.
    ///
    /// Atomic; durable, and visible to every reader, when this returns. `change` says how `next`
    /// differs from the record that `expected` names, so that a backend of rows touches one row:
    /// `next` never has more than that one difference.
    /// A dropped future leaves the old record or the new one.
    ///
    /// The revision returned is one that this crate never had: what was decided on an earlier
    /// state must not pass for decided on a later one that looks like it.
    ///
    /// # Errors
    /// [`IndexError::Conflict`] if the revision is another one: nothing was written.
    /// [`IndexError::OutcomeUnknown`] if the backend cannot say whether `next` was written.
    /// [`IndexError::Backend`] or [`IndexError::Full`] if it failed and nothing was written.
    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError>;

    /// Up to `limit` names in ascending order, beginning behind `after`.
    ///
    /// A crate that is there during the whole of a listing is listed exactly once.
    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError>;

    /// Succeeds if the index can be read and written.
    async fn ready(&self) -> Result<(), IndexError>;
}

/// A shared index, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index + ?Sized> Index for Arc<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        (**self).index_file(name, known).await
    }

    fn try_index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Option<Lookup<IndexFile>> {
        (**self).try_index_file(name, known)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        (**self).load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        (**self).commit(expected, change, next).await
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

/// All names of an index, in ascending order.
pub(crate) async fn all_names(index: &dyn Index) -> Result<Vec<CanonicalName>, IndexError> {
    const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
    let mut names = Vec::new();
    loop {
        let page = index.names(names.last(), PAGE).await?;
        let is_last = page.len() < PAGE.get();
        names.extend(page);
        if is_last {
            return Ok(names);
        }
    }
}

/// How many records are loaded at the same time: most of the time goes by waiting for what they
/// are kept in.
const AT_ONCE: usize = 8;

/// The records of `names`, in their order. A crate that is not there is passed over.
pub(crate) fn records(
    index: Arc<dyn Index>,
    names: Vec<CanonicalName>,
) -> impl Stream<Item = Result<CrateRecord, IndexError>> + Send + Unpin {
    let loads = stream::iter(names).map(move |name| {
        let index = index.clone();
        async move { index.load(&name, None).await }
    });
    let records = loads.buffered(AT_ONCE);
    Box::pin(records.try_filter_map(async |found| Ok(found.found().map(|stored| stored.record))))
}

/// What a conditional read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// There is nothing under this name.
    Absent,
    /// It is what the asker already has.
    Unchanged,
    /// Here it is.
    Found(T),
}

impl<T> Lookup<T> {
    /// What was found; `None` also if it is what the asker already has.
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Unchanged => None,
        }
    }
}

impl Lookup<Stored> {
    /// Answers a conditional load of a record that is at hand.
    pub fn of_stored(stored: Option<Stored>, known: Option<&Revision>) -> Self {
        match stored {
            None => Self::Absent,
            Some(stored) if Some(&stored.revision) == known => Self::Unchanged,
            Some(stored) => Self::Found(stored),
        }
    }
}

impl Lookup<IndexFile> {
    /// Answers a conditional read of a file that is at hand.
    pub fn of(file: Option<IndexFile>, known: Option<&ETag>) -> Self {
        match file {
            None => Self::Absent,
            Some(file) if Some(&file.etag) == known => Self::Unchanged,
            Some(file) => Self::Found(file),
        }
    }
}

/// A record with the revision it had when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The crate's state.
    pub record: CrateRecord,
    /// Names this state in [`Index::commit`].
    pub revision: Revision,
}

/// Names one state of one record. Opaque: only the backend that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(Arc<str>);

impl Revision {
    /// The backend's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Revision {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Why an index backend could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The record changed after it was loaded. Load again, then decide again.
    #[error("index record of `{name}` changed while it was being replaced")]
    Conflict {
        /// The crate.
        name: CanonicalName,
    },
    /// The backend cannot say whether the write took place. Load and look before retrying.
    #[error("unknown whether the index record of `{name}` was replaced")]
    OutcomeUnknown {
        /// The crate.
        name: CanonicalName,
        /// What the backend said.
        #[source]
        source: BoxError,
    },
    /// There is no room left; nothing was written. Reads go on.
    #[error("index backend {backend} is full")]
    Full {
        /// The kind of backend.
        backend: &'static str,
        /// What the backend said.
        #[source]
        source: BoxError,
    },
    /// The backend itself failed; nothing was written.
    #[error("index backend {backend} failed")]
    Backend {
        /// The kind of backend.
        backend: &'static str,
        /// What the backend said.
        #[source]
        source: BoxError,
    },
}
