//! [`CachedIndex`]: what was read is kept, and used while it is known to be true.

mod gate;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, Index, IndexError,
    index::{ETag, IndexFile, Lookup, Revision, Stored},
    observer::CacheRead,
    record::{Change, CrateRecord},
};

use self::{
    gate::Failure,
    shelf::{Entry, Epoch, Kept, Shelf, Stamp},
};

/// Keeps index files and records that were read from another index, within a bound on bytes.
///
/// Clones share what is kept. Absent names are kept, too, and take their place like all else.
///
/// # What a read may see
///
/// What was read is noted with the moment before that read began. A reader may have it if
///
/// - that moment is no earlier than the reader's own arrival: of many who ask for one name at one
///   time one asks the inner index, and all who came before it did have its answer; or
/// - for an index file, that moment is no longer ago than the staleness that is allowed
///   ([`CachedIndex::with_staleness`]); or
/// - nothing was written to the inner index since, as it says itself
///   ([`CachedIndex::with_generation`]).
///
/// Everybody else asks the inner index, which has to send only what has changed. So without
/// staleness each read asks, and sees whatever was committed anywhere before it began.
///
/// A commit through this handle or a clone is seen by every read that begins after it, and what a
/// load has shown is not taken back by an index file read later. Staleness is about other handles
/// alone, and never about [`Index::load`]: what a writer decides on is always asked for.
///
/// # When the inner index fails
///
/// Nothing of a failure is kept. It is the answer to the same readers who would have had a good
/// one: those who arrived before the question began. The next in line asks again, once for all who
/// have come meanwhile. So an index that runs into its time limit is asked one question at a time
/// for each crate, and no reader waits for more than two that run to their end.
#[derive(Clone)]
pub struct CachedIndex<I> {
    inner: I,
    cache: Arc<Cache>,
    staleness: Duration,
    generation: Option<Arc<Generation>>,
    meter: Option<Arc<Meter>>,
    now: fn() -> Instant,
}

type Generation = dyn Fn() -> Option<u64> + Send + Sync;
type Meter = dyn Fn(CacheRead) + Send + Sync;

#[derive(Debug)]
struct Cache {
    files: Shelf<IndexFile>,
    records: Shelf<Stored>,
}

impl Cache {
    fn forget(&self, name: &CanonicalName) {
        self.files.forget(name);
        self.records.forget(name);
    }
}

impl<I> CachedIndex<I> {
    /// Keeps up to `max_bytes` of what is read from `inner`: three quarters of them for index
    /// files, one for records, which only writers and the pages about a crate read.
    ///
    /// What is too large for that is read anew each time. With 64 MiB or more no index file is.
    pub fn new(inner: I, max_bytes: u64) -> Self {
        let for_records = max_bytes / 4;
        let files = Shelf::new(max_bytes - for_records);
        let cache = Arc::new(Cache { files, records: Shelf::new(for_records) });
        let (staleness, generation, meter) = (Duration::ZERO, None, None);
        Self { inner, cache, staleness, generation, meter, now: Instant::now }
    }

    /// Lets index files be served for this long without a question, although another process may
    /// have written meanwhile. Default zero: each read asks.
    ///
    /// To be set before the index is cloned.
    #[must_use]
    pub fn with_staleness(self, staleness: Duration) -> Self {
        Self { staleness, ..self }
    }

    /// Lets everything be served without a question for as long as `generation` gives the same
    /// number; `None` says that it cannot tell.
    ///
    /// The number must be another one from the moment at which a write to any crate by any process
    /// can be read: not earlier, not later, and never again one that it was. It is asked for at each
    /// read, so it must not block.
    ///
    /// To be set before the index is cloned.
    #[must_use]
    pub fn with_generation(
        self,
        generation: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        Self { generation: Some(Arc::new(generation)), ..self }
    }

    /// Tells `meter` of each read of an index file or a record. It must neither block nor panic.
    ///
    /// To be set before the index is cloned.
    #[must_use]
    pub fn with_meter(self, meter: impl Fn(CacheRead) + Send + Sync + 'static) -> Self {
        Self { meter: Some(Arc::new(meter)), ..self }
    }

    fn meter(&self, read: CacheRead) {
        if let Some(meter) = &self.meter {
            meter(read);
        }
    }

    /// A handle by which others say that something was written elsewhere.
    pub fn invalidations(&self) -> Invalidations {
        Invalidations(self.cache.clone())
    }

    /// Now, as far as anybody asks for it.
    fn stamp(&self, staleness: Duration) -> Stamp {
        Stamp {
            at: (!staleness.is_zero()).then(self.now),
            generation: self.generation.as_ref().and_then(|generation| generation()),
        }
    }
}

impl<I: Index> CachedIndex<I> {
    /// What is kept, if it is known to be true.
    fn kept<T: Kept>(
        &self,
        shelf: &Shelf<T>,
        staleness: Duration,
        name: &CanonicalName,
        known: Option<&T::Validator>,
    ) -> Option<Lookup<T>> {
        let kept = shelf.get(name)?;
        if !kept.stamp.holds(&self.stamp(staleness), staleness) {
            return None;
        }
        self.meter(CacheRead::Hit);
        Some(answer(kept.value.as_ref(), known))
    }

    /// The only way to what is kept. `learned` is called when the inner index gave a value that was
    /// not kept, before anybody hears of it.
    async fn read<T: Kept>(
        &self,
        shelf: &Shelf<T>,
        staleness: Duration,
        name: &CanonicalName,
        known: Option<&T::Validator>,
        learned: impl Fn() + Send + Sync,
    ) -> Result<Lookup<T>, IndexError> {
        if let Some(found) = self.kept(shelf, staleness, name, known) {
            return Ok(found);
        }
        let visitor = shelf.gates.arrive(name);
        let mut turn = visitor.turn().await;
        if let Some(found) = turn.answer() {
            self.meter(CacheRead::Hit);
            return Ok(answer(found?.as_ref(), known));
        }
        let (kept, stamp) = (shelf.get(name), self.stamp(staleness));
        if let Some(kept) = &kept
            && kept.stamp.holds(&stamp, staleness)
        {
            self.meter(CacheRead::Hit);
            return Ok(answer(kept.value.as_ref(), known));
        }
        self.meter(CacheRead::Miss);
        let (question, epoch) = (turn.begin(), shelf.epoch(name));
        // Without the asker's own validator: the answer is for all.
        let validator = kept.as_ref().and_then(|kept| kept.value.as_ref()).map(T::validator);
        let found = match (T::ask(&self.inner, name, validator).await, &kept) {
            (Ok(Lookup::Unchanged), Some(kept)) => Ok(kept.confirmed(stamp)),
            (Ok(Lookup::Unchanged), None) => {
                let source = "answers that what nobody has is unchanged".into();
                Err(IndexError::Backend { backend: "inner", source })
            }
            (Ok(Lookup::Absent), _) => Ok(Entry::new(None, stamp)),
            (Ok(Lookup::Found(found)), _) => {
                learned();
                Ok(Entry::new(Some(found), stamp))
            }
            (Err(error), _) => Err(error),
        };
        match found {
            Ok(entry) => {
                let value = entry.value.clone();
                shelf.keep(name, epoch, entry);
                turn.leave(question, Ok(value.clone()));
                Ok(answer(value.as_ref(), known))
            }
            Err(error) => {
                let failure = Failure::of(error)?;
                turn.leave(question, Err(failure.clone()));
                Err(failure.into())
            }
        }
    }
}

impl Stamp {
    /// Whether what was read at this moment may be served at the moment `now`.
    fn holds(&self, now: &Self, staleness: Duration) -> bool {
        let same_generation = self.generation.is_some() && self.generation == now.generation;
        let recent = || match (self.at, now.at) {
            (Some(then), Some(now)) => now.saturating_duration_since(then) <= staleness,
            _ => false,
        };
        same_generation || recent()
    }
}

fn answer<T: Kept>(value: Option<&T>, known: Option<&T::Validator>) -> Lookup<T> {
    match value {
        None => Lookup::Absent,
        Some(value) if Some(value.validator()) == known => Lookup::Unchanged,
        Some(value) => Lookup::Found(value.clone()),
    }
}

/// A commit under way. However it ends, nothing that was read before is served after.
struct Committing<'a> {
    cache: &'a Cache,
    name: CanonicalName,
    began: Epoch,
    /// Confirmed by nothing, because another process may have written since; but most likely the
    /// record that the next write begins with.
    written: Option<Entry<Stored>>,
}

impl<'a> Committing<'a> {
    fn begin(cache: &'a Cache, name: CanonicalName) -> Self {
        let began = cache.records.epoch(&name);
        Self { cache, name, began, written: None }
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        self.cache.files.forget(&self.name);
        match self.written.take() {
            Some(entry) => self.cache.records.replace(&self.name, self.began, entry),
            None => self.cache.records.forget(&self.name),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Index> Index for CachedIndex<I> {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.read(&self.cache.files, self.staleness, name, known, || {}).await
    }

    fn try_index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Option<Lookup<IndexFile>> {
        self.kept(&self.cache.files, self.staleness, name, known)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        // After a commit of unknown outcome this is how it shows that it took place, which may be
        // later than the answer and the reads that came after it.
        let learned = || {
            if !self.staleness.is_zero() {
                self.cache.files.forget(name);
            }
        };
        self.read(&self.cache.records, Duration::ZERO, name, known, learned).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let mut committing = Committing::begin(&self.cache, next.name().canonical());
        let revision = self.inner.commit(expected, change, next).await?;
        let stored = Stored { record: next.clone(), revision: revision.clone() };
        committing.written = Some(Entry::new(Some(stored), Stamp::default()));
        Ok(revision)
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.inner.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().await
    }
}

impl<I: fmt::Debug> fmt::Debug for CachedIndex<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedIndex")
            .field("inner", &self.inner)
            .field("staleness", &self.staleness)
            .finish_non_exhaustive()
    }
}

/// Drops what a [`CachedIndex`] keeps, when somebody else says that it is no longer true: a
/// notification of the database, or a peer.
///
/// Reads that begin after a call ask the inner index. Reads under way may still answer with what
/// they found, but it is not kept.
#[derive(Clone, Debug)]
pub struct Invalidations(Arc<Cache>);

impl Invalidations {
    /// Drops what is kept of one crate.
    pub fn forget(&self, name: &CanonicalName) {
        self.0.forget(name);
    }

    /// Drops everything: notifications may have been missed.
    pub fn forget_all(&self) {
        self.0.files.forget_all();
        self.0.records.forget_all();
    }
}
