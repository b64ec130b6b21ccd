//! [`MirroredCrateStore`]: every file is kept in two stores.

use std::{
    collections::HashSet,
    future::ready,
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use registry_core::{
    CrateStore, StoreError,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
};

/// For how long reads begin with the second store when the first has failed.
const REST: Duration = Duration::from_secs(10);

/// Keeps every file in two stores, so that either may be lost.
///
/// # Writes
///
/// A put succeeds when both stores have the file. If one fails, so does the put, and whoever
/// repeats it puts to both again. So while one store is out, the registry can be read and not
/// written to. To go on with one and bring the other up to date later would take a list of what is
/// missing where, kept as safely as the files are, or else a loss of the one store would be a loss
/// of what was acknowledged meanwhile.
///
/// # Reads
///
/// A read asks the first store, and the second if the first fails or does not have the file. Where
/// the first fails in the middle of a file, the second goes on from there: the bytes under a key
/// are the same everywhere. A store that failed, and did not just set that one file aside, is asked
/// second for ten seconds, so that not every reader waits for its time limit. A store that neither
/// answers nor fails is waited for: give the client of a bucket a `read_timeout`.
///
/// A file that only one of them has stays so: copy it over by a migration from the one to the
/// other, which passes over what is there.
///
/// [`CrateStore::location`] is `None`: whom a URL has sent to one store cannot go on to the other.
///
/// # Listings and upkeep
///
/// A listing gives every file that is in either. It remembers 16 bytes of each file for that, which
/// is up to 72 MB for two million. Verification, repair and garbage collection are done in one store
/// after the other, each with the other to repair from: only there is it known which copy is the
/// damaged one. So this is no [`CrateUpkeep`](registry_core::store::CrateUpkeep).
#[derive(Clone, Debug)]
pub struct MirroredCrateStore {
    stores: Arc<[Arc<dyn CrateStore>; 2]>,
    health: Health,
}

impl MirroredCrateStore {
    /// Keeps files in both stores, and reads from `first` for as long as it can.
    pub fn new(first: impl CrateStore, second: impl CrateStore) -> Self {
        let health = Health { first_failed: Arc::default(), now: Instant::now };
        Self { stores: Arc::new([Arc::new(first), Arc::new(second)]), health }
    }

    /// In which order the stores are to be asked, and whether that is as they were given.
    fn order(&self) -> ([&Arc<dyn CrateStore>; 2], bool) {
        let [first, second] = &*self.stores;
        match self.health.is_first_resting() {
            true => ([second, first], false),
            false => ([first, second], true),
        }
    }

    /// The answer of `one`, or if that has none that of `other`; and which of them it is.
    async fn either<T>(
        &self,
        one: impl Future<Output = Result<Option<T>, StoreError>> + Send,
        other: impl Future<Output = Result<Option<T>, StoreError>> + Send,
        is_one_first: bool,
    ) -> Result<Option<(T, Answerer)>, StoreError> {
        let missed = match one.await {
            Ok(Some(answer)) => return Ok(Some((answer, Answerer::One))),
            missed => missed.map(drop),
        };
        if is_one_first && let Err(error) = &missed {
            self.health.heed(error);
        }
        match (other.await, missed) {
            (Ok(Some(answer)), _) => Ok(Some((answer, Answerer::Other))),
            // Not known to be absent: the one that failed may have it.
            (_, Err(error)) => Err(error),
            (found, Ok(())) => found.map(|_| None),
        }
    }
}

/// Who has answered, in the order in which they were asked.
#[derive(Clone, Copy)]
enum Answerer {
    One,
    Other,
}

/// Whether the first store has failed of late.
#[derive(Clone, Debug)]
struct Health {
    first_failed: Arc<Mutex<Option<Instant>>>,
    now: fn() -> Instant,
}

impl Health {
    fn is_first_resting(&self) -> bool {
        let failed = *self.first_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| (self.now)().saturating_duration_since(failed) < REST)
    }

    /// Takes note of an error of the first store.
    fn heed(&self, error: &StoreError) {
        if !matches!(error, StoreError::Quarantined { .. }) {
            let mut failed = self.first_failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some((self.now)());
        }
    }
}

/// A file that is read on from another store where the one fails.
struct Reading {
    key: CrateKey,
    file: CrateFile,
    /// What is still to be read.
    rest: Range<u64>,
    /// Who has not been asked for it yet.
    other: Option<Arc<dyn CrateStore>>,
    /// Where to say that the store fails, if it is the first.
    health: Option<Health>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            let error = match self.file.next_chunk().await {
                None => return Ok(None),
                Some(Ok(chunk)) => {
                    self.rest.start += chunk.len() as u64;
                    return Ok(Some((chunk, self)));
                }
                Some(Err(error)) => error,
            };
            if let Some(health) = self.health.take() {
                health.heed(&error);
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let Some(other) = self.other.take() else { return Err(error) };
            let range = ByteRange::FromTo(self.rest.start, self.rest.end - 1);
            match other.get(&self.key, Some(range)).await {
                Ok(Some(file)) if (file.size, &file.range) == (self.file.size, &self.rest) => {
                    self.file = file;
                }
                _ => return Err(error),
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CrateStore for MirroredCrateStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let [first, second] = &*self.stores;
        let (one, other) = future::join(first.put(key, file.clone()), second.put(key, file)).await;
        one.and(other)
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let ([one, other], is_one_first) = self.order();
        let (file_of_one, file_of_other) = (one.get(key, range), other.get(key, range));
        let found = self.either(file_of_one, file_of_other, is_one_first).await?;
        Ok(found.map(|(file, answerer)| {
            let (other, is_first) = match answerer {
                Answerer::One => (Some(other.clone()), is_one_first),
                Answerer::Other => (None, !is_one_first),
            };
            let health = is_first.then(|| self.health.clone());
            let (size, range, modified) = (file.size, file.range.clone(), file.modified);
            let (key, rest) = (key.clone(), range.clone());
            let reading = Reading { key, file, rest, other, health };
            let body = Box::pin(stream::try_unfold(reading, Reading::next));
            CrateFile { size, range, modified, body }
        }))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let ([one, other], is_one_first) = self.order();
        let found = self.either(one.head(key), other.head(key), is_one_first).await?;
        Ok(found.map(|(stored, _)| stored))
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn list(&self) -> StoredCrates<'_> {
        // Two keys of 64 bits that nobody else knows: no two files are taken for one.
        let hashers = [RandomState::new(), RandomState::new()];
        let mut listed = HashSet::new();
        let all = stream::iter(&*self.stores).flat_map(|store| store.list());
        Box::pin(all.try_filter_map(move |stored| {
            let is_new = listed.insert(hashers.each_ref().map(|it| it.hash_one(&stored.key)));
            ready(Ok(is_new.then_some(stored)))
        }))
    }

    /// Both of them, for it takes both to put a file.
    async fn ready(&self) -> Result<(), StoreError> {
        let (one, other) = future::join(self.stores[0].ready(), self.stores[1].ready()).await;
        one.and(other)
    }
}

#[cfg(test)]
mod tests;
