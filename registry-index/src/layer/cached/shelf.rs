//! What was read of each name, within a bound on bytes.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::DefaultLifecycle};
use registry_core::{
    CanonicalName, Index, IndexError,
    index::{ETag, IndexFile, Lookup, Revision, Stored},
};

use super::gate::Gates;

/// What a shelf keeps, and how it is asked for.
pub(super) trait Kept: Clone + Send + Sync + 'static {
    /// Says whether it has changed.
    type Validator: PartialEq + Send + Sync;

    fn ask(
        inner: &impl Index,
        name: &CanonicalName,
        known: Option<&Self::Validator>,
    ) -> impl Future<Output = Result<Lookup<Self>, IndexError>> + Send;

    fn validator(&self) -> &Self::Validator;

    /// The same without what else its bytes keep alive.
    fn alone(self) -> Self;

    /// Bytes it takes, apart from [`ENTRY_BYTES`].
    fn bytes(&self) -> usize;
}

impl Kept for IndexFile {
    type Validator = ETag;

    async fn ask(
        inner: &impl Index,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<Self>, IndexError> {
        inner.index_file(name, known).await
    }

    fn validator(&self) -> &ETag {
        &self.etag
    }

    fn alone(self) -> Self {
        // May be a slice of a whole stored record.
        Self { body: Bytes::copy_from_slice(&self.body), ..self }
    }

    fn bytes(&self) -> usize {
        self.body.len()
    }
}

impl Kept for Stored {
    type Validator = Revision;

    async fn ask(
        inner: &impl Index,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Self>, IndexError> {
        inner.load(name, known).await
    }

    fn validator(&self) -> &Revision {
        &self.revision
    }

    fn alone(self) -> Self {
        // Its lines may be slices of all of them, and of nothing more.
        self
    }

    fn bytes(&self) -> usize {
        // For each release its line's parts, who published it and the places for these.
        const RELEASE_BYTES: usize = 512;
        const OWNER_BYTES: usize = 256;
        let (record, about) = (&self.record, self.record.about());
        let lines = record.releases().iter().map(|release| release.line.as_bytes().len());
        let names = record.owners().iter().map(|owner| owner.name.as_ref().map_or(0, String::len));
        let texts = [&about.description, &about.homepage, &about.documentation, &about.repository];
        let texts = texts.into_iter().flatten().chain(&about.keywords).map(String::len);
        self.revision.as_str().len()
            + lines.map(|line| line + RELEASE_BYTES).sum::<usize>()
            + names.map(|name| name + OWNER_BYTES).sum::<usize>()
            + texts.map(|text| text + 48).sum::<usize>()
    }
}

/// What an entry takes besides its content: places in the cache, counters, its names and validator.
const ENTRY_BYTES: usize = 448;

/// What was read, and when.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// `None` for a name under which there is nothing.
    pub(super) value: Option<T>,
    pub(super) stamp: Stamp,
    /// Counted once: a record may have thousands of parts.
    bytes: usize,
}

impl<T: Kept> Entry<T> {
    pub(super) fn new(value: Option<T>, stamp: Stamp) -> Self {
        let value = value.map(T::alone);
        let bytes = ENTRY_BYTES + value.as_ref().map_or(0, T::bytes);
        Self { value, stamp, bytes }
    }

    /// The same, found to be so once more.
    pub(super) fn confirmed(&self, stamp: Stamp) -> Self {
        Self { value: self.value.clone(), stamp, bytes: self.bytes }
    }
}

/// A moment before the read that made or confirmed an entry began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub(super) at: Option<Instant>,
    pub(super) generation: Option<u64>,
}

/// How often the entry under a name was dropped, when a read of that name began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

/// The entries of one kind.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    entries: quick_cache::sync::Cache<CanonicalName, Arc<Entry<T>>, Weigh>,
    /// One for many names: a name that shares it loses an entry now and then.
    epochs: [Mutex<Epoch>; 64],
    hasher: RandomState,
    pub(super) gates: Gates<T>,
}

impl<T: Kept> Shelf<T> {
    /// Bytes of a part of the cache with a lock of its own, or down to half of that: more than the
    /// longest index file has.
    const SHARD_BYTES: u64 = 128 << 20;

    pub(super) fn new(max_bytes: u64) -> Self {
        // By this is decided how much is remembered of what was thrown out: some 100 bytes for
        // every second one.
        const USUAL_BYTES: u64 = 4096;
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes)
            .estimated_items_capacity(
                usize::try_from(max_bytes / USUAL_BYTES).unwrap_or(usize::MAX),
            )
            .shards((max_bytes / Self::SHARD_BYTES).clamp(1, 16) as usize)
            .build()
            .expect("capacity and estimate are given");
        let entries = quick_cache::sync::Cache::with_options(
            options,
            Weigh,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        let epochs = std::array::from_fn(|_| Mutex::new(Epoch(0)));
        Self { entries, epochs, hasher: RandomState::new(), gates: Gates::new() }
    }

    pub(super) fn get(&self, name: &CanonicalName) -> Option<Arc<Entry<T>>> {
        self.entries.get(name)
    }

    /// To be called before a read of the inner index begins.
    pub(super) fn epoch(&self, name: &CanonicalName) -> Epoch {
        *self.epoch_of(name)
    }

    /// Keeps what was read, unless the name was dropped since the read began.
    pub(super) fn keep(&self, name: &CanonicalName, began: Epoch, entry: Entry<T>) {
        let epoch = self.epoch_of(name);
        if *epoch == began {
            self.entries.insert(name.clone(), Arc::new(entry));
        }
    }

    /// Drops what is there, and what reads find that have begun.
    pub(super) fn forget(&self, name: &CanonicalName) {
        let mut epoch = self.epoch_of(name);
        epoch.0 += 1;
        self.entries.remove(name);
    }

    /// As [`Shelf::forget`], and keeps what was written instead, unless somebody else wrote since
    /// the write began.
    pub(super) fn replace(&self, name: &CanonicalName, began: Epoch, entry: Entry<T>) {
        let mut epoch = self.epoch_of(name);
        if *epoch == began {
            self.entries.insert(name.clone(), Arc::new(entry));
        } else {
            self.entries.remove(name);
        }
        epoch.0 += 1;
    }

    pub(super) fn forget_all(&self) {
        for epoch in &self.epochs {
            lock(epoch).0 += 1;
        }
        // What is kept from here on was read after that.
        self.entries.clear();
    }

    fn epoch_of(&self, name: &CanonicalName) -> MutexGuard<'_, Epoch> {
        let number = self.hasher.hash_one(name) % self.epochs.len() as u64;
        lock(&self.epochs[number as usize])
    }

    /// The bytes that all entries together are taken for.
    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.entries.weight()
    }
}

// A number is never half written.
fn lock(epoch: &Mutex<Epoch>) -> MutexGuard<'_, Epoch> {
    epoch.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Debug)]
struct Weigh;

impl<T> Weighter<CanonicalName, Arc<Entry<T>>> for Weigh {
    fn weight(&self, _: &CanonicalName, entry: &Arc<Entry<T>>) -> u64 {
        entry.bytes as u64
    }
}
