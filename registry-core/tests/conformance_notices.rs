//! A suite is worth what it notices: each of these backends breaks one promise, and fails the
//! test of that promise.

use std::{
    num::NonZeroUsize,
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use registry_core::{
    CanonicalName, CrateRecord, CrateStore, ETag, Index, IndexError, IndexFile, StoreError,
    conformance::{Bench, crate_store, index, run},
    index::{Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    record::{About, Change, ReleaseRecord},
    store::{CrateBody, CrateFile, CrateKey, StoredCrate},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    Overwrites,
    LooksThenWrites,
    WritesInSteps,
    AnswersTooEarly,
    ForgetsAbout,
    SortsReleases,
    RewritesLines,
    NeverUnchanged,
    AlwaysUnchanged,
    ETagOfTheRevision,
    RepeatsAName,
    SortsNamesBackwards,
    ListsPagesOfOneMore,
    FailsToReplace,
}

/// Memory with a defect.
#[derive(Clone, Debug)]
struct BrokenIndex {
    inner: MemoryIndex,
    defect: Defect,
    reads: Arc<AtomicUsize>,
}

impl BrokenIndex {
    fn new(defect: Defect) -> Self {
        Self { inner: MemoryIndex::new(), defect, reads: Arc::default() }
    }

    async fn overwrite(&self, change: &Change, next: &CrateRecord) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        loop {
            let there = self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
            match self.inner.commit(there.as_ref(), change, next).await {
                Err(IndexError::Conflict { .. }) => {}
                result => return result,
            }
        }
    }

    fn altered(&self, record: &CrateRecord) -> CrateRecord {
        let mut about = record.about().clone();
        let mut releases = record.releases().to_vec();
        match self.defect {
            Defect::ForgetsAbout => about = About::default(),
            Defect::SortsReleases => releases.sort_by(|a, b| a.version().cmp(b.version())),
            Defect::RewritesLines => {
                for release in &mut releases {
                    if let Ok(entry) = release.line.to_entry() {
                        let line = entry.to_line();
                        *release =
                            Arc::new(ReleaseRecord { line, ..ReleaseRecord::clone(release) });
                    }
                }
            }
            _ => {}
        }
        CrateRecord::from_parts(record.name().clone(), record.owners().clone(), about, releases)
            .unwrap()
    }
}

#[async_trait]
impl Index for BrokenIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        let asked = if self.defect == Defect::NeverUnchanged { None } else { known };
        let mut lookup = self.inner.index_file(name, asked).await?;
        if self.defect == Defect::AlwaysUnchanged && known.is_some() && lookup != Lookup::Absent {
            lookup = Lookup::Unchanged;
        }
        if let (Defect::ETagOfTheRevision, Lookup::Found(file)) = (self.defect, &mut lookup) {
            let revision = self.inner.load(name, None).await?.found().unwrap().revision;
            file.etag = ETag::of(revision.as_str().as_bytes());
        }
        Ok(lookup)
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        let name = next.name().canonical();
        match self.defect {
            Defect::Overwrites => self.overwrite(change, next).await,
            Defect::LooksThenWrites => {
                let there =
                    self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
                if there.as_ref() != expected {
                    return Err(IndexError::Conflict { name });
                }
                tokio::task::yield_now().await;
                self.overwrite(change, next).await
            }
            Defect::WritesInSteps => {
                let first = CrateRecord::from_parts(
                    next.name().clone(),
                    next.owners().clone(),
                    About { homepage: Some("half".into()), ..About::default() },
                    next.releases().to_vec(),
                );
                let revision = self.inner.commit(expected, change, &first.unwrap()).await?;
                tokio::task::yield_now().await;
                self.inner.commit(Some(&revision), change, next).await
            }
            Defect::AnswersTooEarly => {
                let there =
                    self.inner.load(&name, None).await?.found().map(|stored| stored.revision);
                if there.as_ref() != expected {
                    return Err(IndexError::Conflict { name });
                }
                let (inner, change, next) = (self.inner.clone(), change.clone(), next.clone());
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    inner.commit(there.as_ref(), &change, &next).await
                });
                Ok(Revision::from("soon"))
            }
            Defect::FailsToReplace if expected.is_some() => {
                // Until the readers of the test are at work, which must not hide the failure.
                while self.reads.load(Ordering::Relaxed) < 1000 {
                    tokio::task::yield_now().await;
                }
                Err(IndexError::Backend { backend: "broken", source: "no".into() })
            }
            _ => self.inner.commit(expected, change, &self.altered(next)).await,
        }
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        let mut names = match self.defect {
            Defect::ListsPagesOfOneMore => self.inner.names(after, limit.saturating_add(1)).await?,
            _ => self.inner.names(after, limit).await?,
        };
        match self.defect {
            Defect::RepeatsAName if names.len() > 1 => names[1] = names[0].clone(),
            Defect::SortsNamesBackwards => names.reverse(),
            _ => {}
        }
        Ok(names)
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.inner.ready().await
    }
}

/// Whether the test of a promise fails for a backend.
macro_rules! fails {
    ($suite:ident::$case:ident, $backend:expr) => {{
        let backend = $backend;
        catch_unwind(std::panic::AssertUnwindSafe(|| {
            run($suite::$case(Bench::volatile(backend, $suite::share)));
        }))
        .is_err()
    }};
}

#[test]
fn of_an_index() {
    macro_rules! notices {
        ($($defect:ident => $($case:ident),+;)*) => {$($(
            let broken = BrokenIndex::new(Defect::$defect);
            assert!(
                fails!(index::$case, broken),
                concat!(stringify!($case), " does not notice that it ", stringify!($defect)),
            );
        )+)*};
    }
    notices! {
        Overwrites => creating_is_refused_where_a_record_is, replacing_is_refused_where_no_record_is,
            replacing_is_refused_with_an_old_revision, one_of_many_first_publishes_wins,
            no_concurrent_change_is_lost;
        LooksThenWrites => one_of_many_first_publishes_wins, no_concurrent_change_is_lost;
        WritesInSteps => an_abandoned_commit_leaves_the_old_or_the_new_record,
            an_abandoned_first_commit_is_whole_or_absent;
        AnswersTooEarly => every_change_comes_back_whole;
        ForgetsAbout => every_change_comes_back_whole, unusual_texts_come_back_verbatim;
        SortsReleases => many_versions_keep_their_order, every_change_comes_back_whole;
        RewritesLines => unusual_texts_come_back_verbatim;
        NeverUnchanged => a_known_etag_is_answered_unchanged;
        AlwaysUnchanged => a_known_etag_is_answered_unchanged;
        ETagOfTheRevision => an_etag_changes_only_if_the_bytes_do;
        RepeatsAName => names_are_listed_in_pages;
        SortsNamesBackwards => names_are_listed_in_pages;
        ListsPagesOfOneMore => names_are_listed_in_pages;
        FailsToReplace => readers_see_whole_states_in_order;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreDefect {
    KeepsTheLastChunk,
    LeavesAPart,
    FoldsCase,
    ForgetsBuildMetadata,
    RefusesASecondPut,
    FailsToDeleteNothing,
    SortsByText,
    KeepsDeleted,
}

#[derive(Clone, Debug)]
struct BrokenStore {
    inner: MemoryCrateStore,
    defect: StoreDefect,
}

impl BrokenStore {
    fn key(&self, key: &CrateKey) -> CrateKey {
        let mut stored = key.clone();
        match self.defect {
            StoreDefect::FoldsCase => {
                stored.version = key.version.to_string().to_lowercase().parse().unwrap();
            }
            StoreDefect::ForgetsBuildMetadata => stored.version.build = Default::default(),
            _ => {}
        }
        stored
    }
}

#[async_trait]
impl CrateStore for BrokenStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        let key = self.key(key);
        match self.defect {
            StoreDefect::KeepsTheLastChunk => {
                let last = file.chunks().last().cloned().unwrap_or_default();
                self.inner.put(&key, last.into()).await
            }
            StoreDefect::LeavesAPart => {
                for count in 1..=file.chunks().len() {
                    self.inner.put(&key, file.chunks()[..count].to_vec().into()).await?;
                    tokio::task::yield_now().await;
                }
                self.inner.put(&key, file).await
            }
            StoreDefect::RefusesASecondPut if self.inner.get(&key).await?.is_some() => {
                Err(StoreError::Backend { backend: "broken", source: "is there".into() })
            }
            _ => self.inner.put(&key, file).await,
        }
    }

    async fn get(&self, key: &CrateKey) -> Result<Option<CrateFile>, StoreError> {
        self.inner.get(&self.key(key)).await
    }

    async fn delete(&self, key: &CrateKey) -> Result<(), StoreError> {
        let is_absent = self.inner.get(key).await?.is_none();
        match self.defect {
            StoreDefect::KeepsDeleted => Ok(()),
            StoreDefect::FailsToDeleteNothing if is_absent => {
                Err(StoreError::Backend { backend: "broken", source: "is not there".into() })
            }
            _ => self.inner.delete(&self.key(key)).await,
        }
    }

    async fn list(
        &self,
        after: Option<&CrateKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<StoredCrate>, StoreError> {
        if self.defect != StoreDefect::SortsByText {
            return self.inner.list(after, limit).await;
        }
        let mut all = self.inner.list(None, NonZeroUsize::MAX).await?;
        all.sort_by_key(|stored| stored.key.to_string());
        all.retain(|stored| after.is_none_or(|after| stored.key.to_string() > after.to_string()));
        all.truncate(limit.get());
        Ok(all)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

#[test]
fn of_a_crate_store() {
    macro_rules! notices {
        ($($defect:ident => $($case:ident),+;)*) => {$($(
            let broken = BrokenStore {
                inner: MemoryCrateStore::new(),
                defect: StoreDefect::$defect,
            };
            assert!(
                fails!(crate_store::$case, broken),
                concat!(stringify!($case), " does not notice that it ", stringify!($defect)),
            );
        )+)*};
    }
    notices! {
        KeepsTheLastChunk => a_long_file_comes_back_whole;
        LeavesAPart => an_abandoned_put_leaves_the_whole_file_or_none,
            concurrent_puts_of_one_file_all_succeed;
        FoldsCase => files_are_told_apart_by_every_part_of_the_key, keys_at_their_limits_are_kept;
        ForgetsBuildMetadata => files_are_told_apart_by_every_part_of_the_key;
        RefusesASecondPut => putting_a_file_again_changes_nothing,
            concurrent_puts_of_one_file_all_succeed;
        FailsToDeleteNothing => a_deleted_file_is_absent;
        SortsByText => files_are_listed_in_pages;
        KeepsDeleted => a_deleted_file_is_absent;
    }
}
