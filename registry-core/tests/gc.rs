//! What a garbage collection takes away, what it keeps, and what it does when something fails.

mod common;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use registry_core::{
    CanonicalName, CrateRecord, CrateStore, ETag, Index, IndexError, IndexFile, StoreError,
    conformance::{
        faulty::{Fault, Faults, FaultyCrateStore},
        record_fixture as fixture, run,
    },
    gc::{Collection, GcError, GcOptions, Outcome, Step, collect},
    index::{Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    migrate::FileCount,
    record::{Change, ReleaseState},
    store::{
        AsideCrate, AsideCrates, AsideReason, ByteRange, CrateBody, CrateFile, CrateKey,
        CrateUpkeep, StoredCrate, StoredCrates,
    },
};

use common::{Damage, DamagedIndex};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A collection with a grace of a day, so many hours from now.
fn in_hours(hours: u32) -> GcOptions {
    GcOptions { now: SystemTime::now() + HOUR * hours, ..GcOptions::new(DAY) }
}

/// The file that the fixture's line of a version names.
fn key(name: &str, version: &str) -> CrateKey {
    let checksum = fixture::checksum(name, version);
    CrateKey { name: fixture::name(name), version: fixture::version(version), checksum }
}

fn content(key: &CrateKey) -> Bytes {
    format!("{}-{}", key.name, key.version).into()
}

async fn put(crates: &impl CrateStore, key: &CrateKey) {
    crates.put(key, CrateBody::from(content(key))).await.unwrap();
}

/// An index in which `named` has version 1.0.0, and the store with its file.
async fn with_crates(names: &[&str]) -> (MemoryIndex, MemoryCrateStore) {
    let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
    for name in names {
        publish(&index, name).await;
        put(&crates, &key(name, "1.0.0")).await;
    }
    (index, crates)
}

async fn publish(index: &MemoryIndex, name: &str) {
    let (record, change) = fixture::first(name, "1.0.0");
    index.commit(None, &change, &record).await.unwrap();
}

async fn gc(index: &MemoryIndex, crates: &dyn CrateUpkeep, options: GcOptions) -> Collection {
    collect(crates, &[Arc::new(index.clone())], &options, |_, _| {}).await.unwrap()
}

async fn in_place(crates: &impl CrateStore) -> Vec<CrateKey> {
    let mut stored: Vec<_> = crates.list().map_ok(|stored| stored.key).try_collect().await.unwrap();
    stored.sort();
    stored
}

async fn aside(crates: &impl CrateUpkeep) -> Vec<(CrateKey, AsideReason)> {
    let entries = crates.list_aside().map_ok(|entry| (entry.key, entry.reason));
    entries.try_collect().await.unwrap()
}

async fn read(crates: &impl CrateStore, key: &CrateKey) -> Option<Bytes> {
    match crates.get(key, None).await.unwrap() {
        Some(file) => Some(file.bytes().await.unwrap()),
        None => None,
    }
}

fn tally(keys: &[&CrateKey]) -> FileCount {
    let bytes = keys.iter().map(|key| content(key).len() as u64).sum();
    FileCount { files: keys.len() as u64, bytes }
}

/// A sum that is nothing but what `set` makes of it.
fn sum(set: impl FnOnce(&mut Collection)) -> Collection {
    let mut collection = Collection::default();
    set(&mut collection);
    collection
}

#[test]
fn a_file_that_nothing_names_is_put_aside_and_a_day_later_purged() {
    run(async {
        let (index, crates) = with_crates(&["foo"]).await;
        let (named, orphan) = (key("foo", "1.0.0"), key("foo", "2.0.0"));
        put(&crates, &orphan).await;

        let young = sum(|sum| (sum.named, sum.young) = (tally(&[&named]), tally(&[&orphan])));
        assert_eq!(gc(&index, &crates, in_hours(23)).await, young);
        assert_eq!(in_place(&crates).await, [named.clone(), orphan.clone()]);

        let moved = sum(|sum| (sum.named, sum.set_aside) = (tally(&[&named]), tally(&[&orphan])));
        assert_eq!(gc(&index, &crates, in_hours(25)).await, moved);
        assert_eq!(in_place(&crates).await, std::slice::from_ref(&named));
        assert_eq!(read(&crates, &orphan).await, Some(content(&orphan)));

        let waiting = sum(|sum| (sum.named, sum.waiting) = (tally(&[&named]), tally(&[&orphan])));
        assert_eq!(gc(&index, &crates, in_hours(23)).await, waiting);
        assert_eq!(read(&crates, &orphan).await, Some(content(&orphan)));

        let purged = sum(|sum| (sum.named, sum.purged) = (tally(&[&named]), tally(&[&orphan])));
        assert_eq!(gc(&index, &crates, in_hours(25)).await, purged);
        assert_eq!(read(&crates, &orphan).await, None);
        assert_eq!(aside(&crates).await, []);

        let nothing = sum(|sum| sum.named = tally(&[&named]));
        assert_eq!(gc(&index, &crates, in_hours(25)).await, nothing);
    });
}

#[test]
fn what_is_published_while_it_is_aside_is_put_back() {
    run(async {
        let (index, crates) = with_crates(&["foo"]).await;
        let late = key("late", "1.0.0");
        put(&crates, &late).await;
        let moved = gc(&index, &crates, in_hours(25)).await;
        assert_eq!(moved.set_aside, tally(&[&late]));

        publish(&index, "late").await;
        let named = tally(&[&key("foo", "1.0.0")]);
        let waiting = sum(|sum| (sum.named, sum.waiting) = (named, tally(&[&late])));
        assert_eq!(gc(&index, &crates, in_hours(23)).await, waiting);
        let mut both = sum(|sum| sum.named = tally(&[&key("foo", "1.0.0"), &late]));
        both.put_back = tally(&[&late]);
        assert_eq!(gc(&index, &crates, in_hours(25)).await, both);
        assert_eq!(read(&crates, &late).await, Some(content(&late)));
        assert_eq!(aside(&crates).await, []);
    });
}

#[test]
fn a_file_is_kept_in_every_state_of_its_release_that_says_so() {
    run(async {
        let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
        let record = fixture::in_every_state("foo");
        let (_, change) = fixture::first("foo", "1.0.0");
        index.commit(None, &change, &record).await.unwrap();
        for release in record.releases() {
            put(&crates, &key("foo", &release.version().to_string())).await;
        }
        gc(&index, &crates, in_hours(25)).await;
        let kept: Vec<_> = in_place(&crates).await;
        let states = kept.iter().map(|key| record.release(&key.version).unwrap().state);
        assert_eq!(
            states.collect::<Vec<_>>(),
            [
                ReleaseState::Published,
                ReleaseState::Yanked,
                ReleaseState::Unlisted,
                ReleaseState::Archived
            ]
        );
    });
}

#[test]
fn what_any_of_several_registries_names_is_kept() {
    run(async {
        let (one, crates) = with_crates(&["one", "both"]).await;
        let (other, _) = with_crates(&["other", "both"]).await;
        for name in ["other", "neither"] {
            put(&crates, &key(name, "1.0.0")).await;
        }
        let indexes: [Arc<dyn Index>; 2] = [Arc::new(one), Arc::new(other)];
        collect(&crates, &indexes, &in_hours(25), |_, _| {}).await.unwrap();
        let kept = ["both", "one", "other"].map(|name| key(name, "1.0.0"));
        assert_eq!(in_place(&crates).await, kept);
    });
}

#[test]
fn a_dry_run_tells_the_same_and_changes_nothing() {
    run(async {
        let (index, crates) = with_crates(&["foo"]).await;
        let keys = ["back", "gone", "orphan"].map(|name| key(name, "1.0.0"));
        for key in &keys {
            put(&crates, key).await;
        }
        for key in &keys[..2] {
            crates.set_aside(key, AsideReason::Unnamed).await.unwrap();
        }
        publish(&index, "back").await;
        let (placed, set_aside) = (in_place(&crates).await, aside(&crates).await);
        let would = gc(&index, &crates, GcOptions { dry_run: true, ..in_hours(25) }).await;
        assert_eq!((in_place(&crates).await, aside(&crates).await), (placed, set_aside));
        let expected = sum(|sum| {
            sum.named = tally(&[&key("foo", "1.0.0")]);
            sum.put_back = tally(&[&keys[0]]);
            sum.purged = tally(&[&keys[1]]);
            sum.set_aside = tally(&[&keys[2]]);
        });
        assert_eq!(would, expected);
    });
}

#[test]
fn what_is_damaged_stays_aside() {
    run(async {
        let (index, crates) = with_crates(&["foo"]).await;
        let (foo, orphan) = (key("foo", "1.0.0"), key("orphan", "1.0.0"));
        put(&crates, &orphan).await;
        for key in [&foo, &orphan] {
            crates.set_aside(key, AsideReason::Damaged).await.unwrap();
        }
        let before = aside(&crates).await;
        let damaged = sum(|sum| sum.damaged = tally(&[&foo, &orphan]));
        assert_eq!(gc(&index, &crates, in_hours(25)).await, damaged);
        assert_eq!(aside(&crates).await, before);
    });
}

#[test]
fn files_of_a_crate_whose_record_says_nothing_are_left_alone() {
    run(async {
        let another = Damage::Another(fixture::canonical("foo"));
        for damage in [Damage::Unreadable, another, Damage::Lost] {
            let (index, crates) = with_crates(&["foo", "hurt"]).await;
            let (foo, hurt, orphan) =
                (key("foo", "1.0.0"), key("hurt", "1.0.0"), key("orphan", "1.0.0"));
            put(&crates, &orphan).await;
            let index: Arc<dyn Index> =
                Arc::new(DamagedIndex::new(index, fixture::canonical("hurt"), damage));
            let mut in_doubt = Vec::new();
            let report = |step: &Step<'_>, _: &Collection| {
                if matches!(step.outcome, Outcome::InDoubt) {
                    in_doubt.push(step.key.clone());
                }
            };
            let collection = collect(&crates, &[index], &in_hours(25), report).await.unwrap();
            let expected = sum(|sum| {
                sum.named = tally(&[&foo]);
                sum.in_doubt = tally(&[&hurt]);
                sum.set_aside = tally(&[&orphan]);
            });
            assert_eq!((collection.is_complete(), &collection), (false, &expected));
            assert_eq!(in_doubt, std::slice::from_ref(&hurt));
            assert_eq!(in_place(&crates).await, [foo, hurt]);
        }
    });
}

#[test]
fn an_index_that_is_gone_or_empty_ends_it() {
    run(async {
        let crates = MemoryCrateStore::new();
        let foo = key("foo", "1.0.0");
        put(&crates, &foo).await;
        let gone: Arc<dyn Index> = Arc::new(DamagedIndex::gone());
        let outcome = collect(&crates, &[gone], &in_hours(25), |_, _| {}).await;
        assert!(matches!(outcome, Err(GcError::Index(_))));
        let empty: Arc<dyn Index> = Arc::new(MemoryIndex::new());
        for indexes in [&[empty][..], &[]] {
            let outcome = collect(&crates, indexes, &in_hours(25), |_, _| {}).await;
            assert!(matches!(outcome, Err(GcError::NoCrates)));
        }
        assert_eq!(in_place(&crates).await, [foo]);
    });
}

#[test]
fn where_nothing_was_ever_published_there_is_nothing_to_collect() {
    run(async {
        let (index, crates) = with_crates(&[]).await;
        assert_eq!(gc(&index, &crates, in_hours(25)).await, Collection::default());

        // What is aside is as much a sign of the wrong index as what is in its place.
        let foo = key("foo", "1.0.0");
        put(&crates, &foo).await;
        crates.set_aside(&foo, AsideReason::Unnamed).await.unwrap();
        let indexes: [Arc<dyn Index>; 1] = [Arc::new(index)];
        let outcome = collect(&crates, &indexes, &in_hours(50), |_, _| {}).await;
        assert!(matches!(outcome, Err(GcError::NoCrates)));
        assert_eq!(read(&crates, &foo).await, Some(content(&foo)));
    });
}

/// A store in which something happens between two steps of a collector.
#[derive(Debug)]
struct Meanwhile {
    inner: MemoryCrateStore,
    index: MemoryIndex,
    /// Stored again right before the move is thought about.
    stored_again: Option<CrateKey>,
    /// Committed right after the move.
    committed: Option<&'static str>,
    fails: bool,
}

#[async_trait]
impl CrateStore for Meanwhile {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.inner.put(key, file).await
    }
    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.inner.get(key, range).await
    }
    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let stored = self.inner.head(key).await?;
        let stored_again = stored.filter(|_| self.stored_again.as_ref() == Some(key));
        match stored_again {
            Some(stored) => Ok(Some(StoredCrate { modified: stored.modified + DAY, ..stored })),
            None => self.inner.head(key).await,
        }
    }
    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.inner.location(key).await
    }
    fn list(&self) -> StoredCrates<'_> {
        self.inner.list()
    }
    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

#[async_trait]
impl CrateUpkeep for Meanwhile {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        self.inner.set_aside(key, reason).await?;
        if let Some(name) = self.committed.filter(|name| key.name.as_str() == *name) {
            publish(&self.index, name).await;
        }
        match self.fails {
            true => Err(StoreError::failed("meanwhile", "no answer")),
            false => Ok(()),
        }
    }
    fn list_aside(&self) -> AsideCrates<'_> {
        self.inner.list_aside()
    }
    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.inner.open_aside(entry).await
    }
    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.inner.put_back(entry).await
    }
    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.inner.purge(entry).await
    }
}

#[test]
fn what_is_stored_again_after_the_listing_is_young() {
    run(async {
        let (index, inner) = with_crates(&["foo"]).await;
        let again = key("again", "1.0.0");
        put(&inner, &again).await;
        let crates = Meanwhile {
            inner,
            index: index.clone(),
            stored_again: Some(again.clone()),
            committed: None,
            fails: false,
        };
        assert_eq!(gc(&index, &crates, in_hours(25)).await.young, tally(&[&again]));
        assert_eq!(in_place(&crates).await, [again, key("foo", "1.0.0")]);
    });
}

/// The entry stays, as a late removal could still hit what is in the place now; the next run
/// ends it.
#[test]
fn what_is_published_while_it_is_moved_is_in_its_place_when_the_run_is_over() {
    run(async {
        for fails in [false, true] {
            let (index, inner) = with_crates(&["foo"]).await;
            let (foo, raced) = (key("foo", "1.0.0"), key("raced", "1.0.0"));
            put(&inner, &raced).await;
            let crates = Meanwhile {
                inner,
                index: index.clone(),
                stored_again: None,
                committed: Some("raced"),
                fails,
            };
            let collection = gc(&index, &crates, in_hours(25)).await;
            let expected = sum(|sum| {
                sum.named = tally(&[&foo]);
                let outcome = if fails { &mut sum.failed } else { &mut sum.put_back };
                *outcome = tally(&[&raced]);
            });
            assert_eq!((collection.is_complete(), collection), (!fails, expected));
            assert_eq!(in_place(&crates).await, [foo.clone(), raced.clone()]);
            assert_eq!(aside(&crates).await, [(raced.clone(), AsideReason::Unnamed)]);
            gc(&index, &crates, in_hours(25)).await;
            assert_eq!(in_place(&crates).await, [foo, raced]);
            assert_eq!(aside(&crates).await, []);
        }
    });
}

/// Whatever call to the store fails, or is the last one: every line has its file, and the next runs
/// bring it to an end.
#[test]
fn a_run_that_is_cut_short_anywhere_is_made_good_by_the_next() {
    run(async {
        for (call, fault) in (0..).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
            let (index, inner) = with_crates(&["foo"]).await;
            let [foo, late, raced] = ["foo", "late", "raced"].map(|name| key(name, "1.0.0"));
            for orphan in ["gone", "orphan"].map(|name| key(name, "1.0.0")) {
                put(&inner, &orphan).await;
            }
            for key in [&late, &key("gone", "1.0.0")] {
                put(&inner, key).await;
                inner.set_aside(key, AsideReason::Unnamed).await.unwrap();
            }
            put(&inner, &raced).await;
            publish(&index, "late").await;
            let racing = Meanwhile {
                inner: inner.clone(),
                index: index.clone(),
                stored_again: None,
                committed: Some("raced"),
                fails: false,
            };
            let faults = Faults::none();
            let crates = FaultyCrateStore::new(racing, faults.clone());
            faults.arm(call, fault);
            let indexes: [Arc<dyn Index>; 1] = [Arc::new(index.clone())];
            // There is not much but garbage here.
            let options = GcOptions { even_most: true, ..in_hours(25) };
            let outcome = faults.run(collect(&crates, &indexes, &options, |_, _| {})).await;
            if !faults.struck() {
                assert!(outcome.unwrap().unwrap().is_complete());
                // Two listings, and for each of four files what becomes of it.
                assert!(call > 10, "{call} calls");
                break;
            }
            let names_raced = index.load(&fixture::canonical("raced"), None).await.unwrap();
            let raced = names_raced.found().map(|_| raced);
            let mut named = vec![foo, late];
            named.extend(raced);
            for key in &named {
                assert_eq!(read(&inner, key).await, Some(content(key)), "{call} {fault:?}");
            }
            for _ in 0..2 {
                assert!(gc(&index, &inner, options).await.is_complete(), "{call} {fault:?}");
            }
            assert_eq!(in_place(&inner).await, named, "{call} {fault:?}");
            assert_eq!(aside(&inner).await, [], "{call} {fault:?}");
        }
    });
}

/// Counts what is loaded.
#[derive(Debug)]
struct Counting(MemoryIndex, AtomicUsize);

#[async_trait]
impl Index for Counting {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        self.0.index_file(name, known).await
    }
    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.1.fetch_add(1, Relaxed);
        self.0.load(name, known).await
    }
    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.0.commit(expected, change, next).await
    }
    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }
    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

#[test]
fn a_record_is_loaded_about_once_however_many_files_its_crate_has() {
    run(async {
        let names: Vec<_> = (0..100).map(|number| format!("crate{number:03}")).collect();
        let (index, crates) =
            with_crates(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for name in &names {
            for patch in 1..100 {
                put(&crates, &key(name, &format!("1.0.{patch}"))).await;
            }
        }
        let counting = Arc::new(Counting(index, AtomicUsize::new(0)));
        let indexes: [Arc<dyn Index>; 1] = [counting.clone()];
        let options = GcOptions { dry_run: true, ..in_hours(25) };
        let collection = collect(&crates, &indexes, &options, |_, _| {}).await.unwrap();
        assert_eq!((collection.named.files, collection.set_aside.files), (100, 9_900));
        assert_eq!(collection.files(), 10_000);
        // Two crates lie across the borders of what is held at a time.
        assert_eq!(counting.1.load(Relaxed), 102);
    });
}

#[test]
fn nothing_is_done_if_more_would_go_than_stay_unless_that_is_right() {
    run(async {
        // Two registries over one store, of which one is left out.
        let (index, crates) = with_crates(&["foo"]).await;
        let (one, other) = (key("bar", "1.0.0"), key("baz", "1.0.0"));
        put(&crates, &one).await;
        assert_eq!(gc(&index, &crates, in_hours(25)).await.set_aside, tally(&[&one]));
        put(&crates, &other).await;
        let indexes: [Arc<dyn Index>; 1] = [Arc::new(index.clone())];
        let refused = async |options| {
            let mut told = 0;
            let outcome = collect(&crates, &indexes, &options, |_, _| told += 1).await;
            assert_eq!(told, 0);
            match outcome {
                Err(GcError::MostUnnamed { garbage, named }) => (garbage, named),
                outcome => panic!("{outcome:?}"),
            }
        };
        // One is purged already by the second run, and one put aside.
        assert_eq!(refused(in_hours(50)).await, (2, 1));
        assert_eq!(in_place(&crates).await, [other.clone(), key("foo", "1.0.0")]);
        assert_eq!(aside(&crates).await, [(one.clone(), AsideReason::Unnamed)]);

        let dry = gc(&index, &crates, GcOptions { dry_run: true, ..in_hours(50) }).await;
        assert_eq!((dry.purged, dry.set_aside), (tally(&[&one]), tally(&[&other])));
        let done = gc(&index, &crates, GcOptions { even_most: true, ..in_hours(50) }).await;
        assert_eq!(done, dry);
        assert_eq!(in_place(&crates).await, [key("foo", "1.0.0")]);
        assert_eq!(aside(&crates).await, [(other, AsideReason::Unnamed)]);
    });
}
