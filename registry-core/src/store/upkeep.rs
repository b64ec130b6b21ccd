//! What is done to stored files behind the back of readers: the [`CrateUpkeep`] trait.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_core::Stream;

use super::{CrateFile, CrateKey, CrateStore, StoreError};

/// A store whose files can be taken away, in two steps: put aside first, and removed for good
/// later.
///
/// Nothing is removed while anybody could still mean to use it: a file that a garbage collection
/// has put aside can be read as before, until it is purged. A serving registry needs none of this.
///
/// The source of [`MemoryCrateStore`](crate::memory::MemoryCrateStore) is a complete one, and
/// `crate_upkeep_conformance!` of the feature `conformance` proves one.
#[async_trait]
pub trait CrateUpkeep: CrateStore {
    /// Puts the file under `key` aside, if there is one: it is no longer listed.
    ///
    /// Durable when this returns. Each call makes an entry of its own, and never replaces one. A
    /// file that is put meanwhile may stay in its place. If
    /// it fails, or is dropped or cut short by a crash, the file is in its place, or aside, or
    /// both: never in neither.
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError>;

    /// Lists what is aside, in any order. An entry that is there during the whole of a listing is
    /// listed exactly once.
    fn list_aside(&self) -> AsideCrates<'_>;

    /// Opens a file that is aside, for whatever reason it is; `None` if it is gone already.
    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError>;

    /// Puts a file back in its place, unless one is there already, and then ends the entry.
    ///
    /// One that is gone already is no error. If it fails, or is dropped or cut short by a crash, the
    /// file is in its place, or aside, or both.
    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError>;

    /// Removes a file that is aside for good. One that is gone already is no error.
    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError>;
}

/// Why a file is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AsideReason {
    /// No line of an index names it. It can be read as if it were in its place.
    Unnamed,
    /// Its bytes are not those of its checksum. Reading it fails with [`StoreError::Quarantined`],
    /// unless there is a file in its place or one that is aside for another reason.
    Damaged,
}

/// One file that is aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideCrate {
    /// What it was stored under.
    pub key: CrateKey,
    /// Why it is aside.
    pub reason: AsideReason,
    /// When it was put aside, to the second.
    pub since: SystemTime,
    /// Tells it apart from other entries of the same key; made by the store.
    pub id: Arc<str>,
    /// Its length in bytes.
    pub size: u64,
}

impl AsideCrate {
    /// How long after a file was put aside its removal from its place is over. Source: ours; no
    /// [grace](crate::gc::GcOptions::older_than) is to be shorter.
    pub const SETTLES_AFTER: Duration = Duration::from_secs(60 * 60);

    /// Whether whoever put it aside may still be about to remove the file from its place, and so
    /// whatever is there by then.
    ///
    /// Such an entry is not to be ended: it may be the only copy soon. What lies in the future, by
    /// the clock of another machine, is young.
    pub fn may_be_moving(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).map_or(true, |age| age <= Self::SETTLES_AFTER)
    }
}

/// The files that are aside.
pub type AsideCrates<'a> = Pin<Box<dyn Stream<Item = Result<AsideCrate, StoreError>> + Send + 'a>>;

/// A shared store, as a choice made at run time gives it.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CrateUpkeep + ?Sized> CrateUpkeep for Arc<S> {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        (**self).set_aside(key, reason).await
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        (**self).list_aside()
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        (**self).open_aside(entry).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        (**self).put_back(entry).await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        (**self).purge(entry).await
    }
}
