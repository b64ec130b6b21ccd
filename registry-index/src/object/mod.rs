//! An index, with users and tokens, in an object store and nothing else: Amazon S3 and servers of
//! its kind, Google Cloud Storage, Azure Blob Storage.
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use std::sync::Arc;
//! use object_store::memory::InMemory;
//! use registry_index::object::{ObjectIndex, ObjectTokens};
//!
//! let store = Arc::new(InMemory::new());
//! let index = ObjectIndex::open(store.clone()).await?;
//! let tokens = ObjectTokens::open(store).await?;
//! # Ok::<(), registry_index::object::ObjectOpenError>(())
//! # }).unwrap()?;
//! # Ok::<(), registry_index::object::ObjectOpenError>(())
//! ```
//!
//! A bucket is opened by the library `object_store`, with its feature for the provider (`aws`, `gcp`,
//! `azure`):
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{sync::Arc, time::Duration};
//! use object_store::{RetryConfig, aws::AmazonS3Builder, prefix::PrefixStore};
//! use registry_index::object::ObjectIndex;
//!
//! let retry = RetryConfig { retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
//! let bucket = AmazonS3Builder::from_env().with_bucket_name("bucket").with_retry(retry).build()?;
//! let index = ObjectIndex::open(Arc::new(PrefixStore::new(bucket, "registry"))).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Any number of processes may use one store. What keeps them from overwriting each other are the
//! store's conditional writes; opening tries them out, because stores exist that take a condition
//! and ignore it. A store that lacks them, such as a folder, is refused.
//!
//! # Layout
//!
//! | key | holds | is written |
//! |---|---|---|
//! | `records/<canonical name>` | one crate, by [`registry_core::codec`] | if it is unchanged |
//! | `users.json` | all users, and the key of the tokens | if it is unchanged |
//! | `tokens/<hash>` | what is known of a token | if it is unchanged |
//! | `tokens-of/<user id>/<hash>` | nothing: that the user has the token | once |
//! | `probe/…` | nothing of value | when opened, and by [`Index::ready`] |
//!
//! For a registry in a part of a bucket, wrap the store in an
//! [`object_store::prefix::PrefixStore`]. Nobody else may write below that prefix. The store's
//! permissions have to be to read, write and list there, and to delete below `probe/`. If the bucket
//! is removed, everything fails until it is back.
//!
//! # Cost
//!
//! Reading an index file is one GET of the whole record, and a write is one GET and one PUT of it.
//! A [`load`](Index::load) with the revision of before is a conditional GET: a record that is
//! unchanged is not sent again. An index file always comes with its record. So put a cache in
//! front, and allow it some staleness: it asks for records in the cheaper way, and for an index file
//! not at all while it is young enough. Listing names takes one LIST for each thousand; nothing but
//! listings and searches does it.
//! [`NameSearch`](registry_core::search::NameSearch) over this index lists all names for each
//! query.
//!
//! # Staleness
//!
//! None of its own: each read goes to the store, and the stores above show a write to every reader
//! as soon as it is acknowledged. A cache in front adds what it says of itself.
//!
//! # Retries and timeouts
//!
//! The client that `store` is made of repeats requests as it is configured to, conditional writes
//! included. That is harmless: after an error, and after a refusal, the record is read back and
//! compared with what was to be written. What is not known for certain then is answered
//! [`IndexError::OutcomeUnknown`], and [`Registry`](registry_core::Registry) finds out on the next
//! look. But its defaults, ten times in three minutes, are longer than a client of a registry
//! waits: set them, and a timeout, to what a request may take.

mod bucket;
mod probe;
mod records;
mod tokens;
mod users;

use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use object_store::ObjectStore;
use registry_core::{
    BoxError, CanonicalName, CrateRecord, ETag, Index, IndexError, IndexFile, RecordIndex, codec,
    index::{Lookup, Revision, Stored},
    record::Change,
};

use self::{bucket::Bucket, records::ObjectRecords};
pub use self::{
    probe::{Flaw, ObjectOpenError},
    tokens::ObjectTokens,
};

const BACKEND: &str = "object store";

/// The index of one registry in an object store. Clones share the store.
#[derive(Clone, Debug)]
pub struct ObjectIndex {
    records: ObjectRecords,
    index: RecordIndex<ObjectRecords>,
}

impl ObjectIndex {
    /// Uses `store`, after trying out under `probe/` whether it does what an index needs. That
    /// takes some twenty requests, and leaves nothing behind.
    ///
    /// # Errors
    /// [`ObjectOpenError`] if it does not, with what to do about it, or if it cannot be reached.
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, ObjectOpenError> {
        let bucket = Bucket(store);
        probe::check(&bucket).await?;
        let records = ObjectRecords::new(bucket);
        Ok(Self { index: RecordIndex::new(records.clone()), records })
    }
}

#[async_trait]
impl Index for ObjectIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.index.index_file(name, known).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        Ok(match self.records.read(name, known).await? {
            Lookup::Absent => Lookup::Absent,
            Lookup::Unchanged => Lookup::Unchanged,
            Lookup::Found((bytes, revision)) => {
                let record = codec::decode(bytes).map_err(|error| failed(error.into()))?;
                Lookup::Found(Stored { record, revision })
            }
        })
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.index.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.index.names(after, limit).await
    }

    /// Writes one small object and reads it back: what a health check asks every few seconds, not
    /// every request.
    async fn ready(&self) -> Result<(), IndexError> {
        self.index.ready().await
    }
}

fn failed(source: BoxError) -> IndexError {
    IndexError::Backend { backend: BACKEND, source }
}
