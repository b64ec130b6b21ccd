//! Bringing crate files over from one store to another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use registry_core::{
    Checksum, CrateName, CrateStore, StoreError,
    conformance::{
        faulty::{Fault, Faults, FaultyCrateStore},
        run,
    },
    memory::MemoryCrateStore,
    migrate::{FileCopyError, FileCount, FileMigrateError, FileMigration, MigratedFiles},
    store::{
        AsideReason, ByteRange, CrateBody, CrateFile, CrateKey, CrateUpkeep as _, StoredCrate,
        StoredCrates,
    },
};
use semver::Version;

fn key(number: u64, content: &[u8]) -> CrateKey {
    CrateKey {
        name: CrateName::new("Hello-World").unwrap(),
        version: Version::new(1, 0, number),
        checksum: Checksum::of(content),
    }
}

async fn put(store: &dyn CrateStore, key: &CrateKey, content: &[u8]) {
    let body = vec![Bytes::new(), content.to_vec().into()];
    store.put(key, body.into()).await.unwrap();
}

/// A store of so many files, of 0, 1, 2, … bytes.
async fn source(files: u64) -> MemoryCrateStore {
    let store = MemoryCrateStore::new();
    for number in 0..files {
        let content = vec![b'.'; number as usize];
        put(&store, &key(number, &content), &content).await;
    }
    store
}

async fn content(store: &dyn CrateStore) -> BTreeMap<CrateKey, Bytes> {
    let mut content = BTreeMap::new();
    for stored in store.list().try_collect::<Vec<_>>().await.unwrap() {
        let file = store.get(&stored.key, None).await.unwrap().unwrap();
        content.insert(stored.key, file.bytes().await.unwrap());
    }
    content
}

fn migration(from: &MemoryCrateStore, to: &MemoryCrateStore) -> FileMigration {
    FileMigration::new(Arc::new(from.clone()), Arc::new(to.clone()))
}

/// What became of the files, and of each that is not in the target.
async fn outcome(migration: FileMigration) -> (MigratedFiles, Vec<(CrateKey, String)>) {
    let failures = Mutex::new(Vec::new());
    let migrated = migration.run(|_, failure| {
        let failure = failure.map(|(key, error)| (key.clone(), error.to_string()));
        failures.lock().unwrap().extend(failure);
    });
    let migrated = migrated.await.unwrap();
    (migrated, failures.into_inner().unwrap())
}

fn count(files: u64, bytes: u64) -> FileCount {
    FileCount { files, bytes }
}

fn counts(migrated: &MigratedFiles) -> [FileCount; 4] {
    [migrated.found, migrated.copied, migrated.same, migrated.failed]
}

const NONE: FileCount = FileCount { files: 0, bytes: 0 };

#[test]
fn every_file_comes_over_once_and_the_progress_is_told() {
    run(async {
        let (from, to) = (source(20).await, MemoryCrateStore::new());
        let mut seen = Vec::new();
        let migration = migration(&from, &to);
        // On another thread, as in a server.
        let first = tokio::spawn(async move {
            let migrated = migration.run(|so_far, failure| {
                assert!(failure.is_none());
                assert_eq!(so_far.found, count(20, 190));
                seen.push(so_far.done().files);
            });
            let migrated = migrated.await.unwrap();
            assert_eq!(seen, Vec::from_iter(1..=20));
            migrated
        });
        assert_eq!(counts(&first.await.unwrap()), [count(20, 190), count(20, 190), NONE, NONE]);
        assert_eq!(content(&to).await, content(&from).await);

        put(&from, &key(100, b"new"), b"new").await;
        let (again, failures) = outcome(self::migration(&from, &to)).await;
        assert_eq!(counts(&again), [count(21, 193), count(1, 3), count(20, 190), NONE]);
        assert_eq!(failures, []);
        assert_eq!(content(&to).await, content(&from).await);
    });
}

#[test]
fn what_is_aside_stays_behind_and_what_is_in_the_target_stays() {
    run(async {
        let (from, to) = (source(3).await, MemoryCrateStore::new());
        let [unnamed, damaged] = [key(1, b"."), key(2, b"..")];
        from.set_aside(&unnamed, AsideReason::Unnamed).await.unwrap();
        from.set_aside(&damaged, AsideReason::Damaged).await.unwrap();
        put(&to, &key(9, b"ours"), b"ours").await;
        let (migrated, _) = outcome(migration(&from, &to)).await;
        assert_eq!(counts(&migrated), [count(1, 0), count(1, 0), NONE, NONE]);
        let expected = [(key(0, b""), Bytes::new()), (key(9, b"ours"), "ours".into())];
        assert_eq!(content(&to).await, BTreeMap::from(expected));
    });
}

/// A collection moves a file in the moment in which it is published, and has no time to put it back.
#[test]
fn what_a_collection_has_put_aside_comes_over_if_that_is_asked_for() {
    run(async {
        let (from, to) = (source(3).await, MemoryCrateStore::new());
        let [unnamed, damaged] = [key(1, b"."), key(2, b"..")];
        from.set_aside(&unnamed, AsideReason::Unnamed).await.unwrap();
        from.set_aside(&damaged, AsideReason::Damaged).await.unwrap();
        let migration = migration(&from, &to).with_aside(Arc::new(from.clone()));
        let (migrated, _) = outcome(migration.clone()).await;
        assert_eq!(counts(&migrated), [count(2, 1), count(2, 1), NONE, NONE]);
        let expected = [(key(0, b""), Bytes::new()), (unnamed.clone(), ".".into())];
        assert_eq!(content(&to).await, BTreeMap::from(expected));
        // In its place as well, it is one file.
        put(&from, &unnamed, b".").await;
        let (again, _) = outcome(migration).await;
        assert_eq!(counts(&again), [count(3, 2), NONE, count(3, 2), NONE]);
    });
}

#[test]
fn a_file_that_is_damaged_in_the_source_is_told_and_not_copied() {
    run(async {
        let (from, to) = (source(12).await, MemoryCrateStore::new());
        put(&from, &key(3, b"..."), b".x.").await;
        let (migrated, failures) = outcome(migration(&from, &to)).await;
        assert_eq!(counts(&migrated), [count(12, 66), count(11, 63), NONE, count(1, 3)]);
        let checksum = Checksum::of(".x.");
        let reason = format!("it is damaged in the source: its checksum is {checksum}");
        assert_eq!(failures, [(key(3, b"..."), reason)]);
        assert!(to.head(&key(3, b"...")).await.unwrap().is_none());
        assert_eq!(content(&to).await.len(), 11);
    });
}

#[test]
fn a_file_of_another_length_in_the_target_is_replaced_and_one_of_the_same_only_if_it_is_read() {
    run(async {
        let (from, to) = (source(4).await, MemoryCrateStore::new());
        put(&to, &key(2, b".."), b".").await;
        put(&to, &key(3, b"..."), b".x.").await;
        let (migrated, _) = outcome(migration(&from, &to)).await;
        assert_eq!(counts(&migrated), [count(4, 6), count(3, 3), count(1, 3), NONE]);
        let (migrated, _) = outcome(migration(&from, &to).with_read_back()).await;
        assert_eq!(counts(&migrated), [count(4, 6), count(1, 3), count(3, 3), NONE]);
        assert_eq!(content(&to).await, content(&from).await);
    });
}

#[test]
fn a_damaged_file_that_the_target_has_put_aside_is_copied_anew() {
    run(async {
        let (from, to) = (source(2).await, source(2).await);
        to.set_aside(&key(1, b"."), AsideReason::Damaged).await.unwrap();
        let (migrated, _) = outcome(migration(&from, &to)).await;
        assert_eq!(counts(&migrated), [count(2, 1), count(1, 1), count(1, 0), NONE]);
        assert_eq!(content(&to).await, content(&from).await);
    });
}

#[test]
fn a_migration_that_was_interrupted_anywhere_can_be_run_again() {
    run(async {
        let from = source(3).await;
        let expected = content(&from).await;
        for fault in Fault::ALL {
            for call in 0.. {
                let (to, faults) = (MemoryCrateStore::new(), Faults::none());
                let [source, target] = [&from, &to]
                    .map(|store| Arc::new(FaultyCrateStore::new(store.clone(), faults.clone())));
                faults.arm(call, fault);
                let migration = FileMigration::new(source, target).with_read_back();
                let _ = faults.run(migration.run(|_, _| {})).await;
                if !faults.struck() {
                    assert!(call >= 17, "two listings, and for each file five calls: {call}");
                    break;
                }
                for (key, content) in content(&to).await {
                    assert_eq!(Checksum::of(content), key.checksum);
                }
                outcome(self::migration(&from, &to)).await;
                assert_eq!(content(&to).await, expected, "{fault:?} at {call}");
            }
        }
    });
}

/// A store that fails unless it is told otherwise.
#[derive(Clone, Debug, Default)]
struct Broken {
    inner: MemoryCrateStore,
    lists: bool,
    gone: bool,
    full: bool,
    ready: bool,
}

fn failed() -> StoreError {
    StoreError::failed("broken", "as it is told to")
}

#[async_trait]
impl CrateStore for Broken {
    async fn put(&self, _: &CrateKey, _: CrateBody) -> Result<(), StoreError> {
        match self.full {
            true => Err(StoreError::Full { backend: "broken", source: "no room".into() }),
            false => Err(failed()),
        }
    }

    async fn get(
        &self,
        _: &CrateKey,
        _: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        if self.gone { Ok(None) } else { Err(failed()) }
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.inner.head(key).await
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn list(&self) -> StoredCrates<'_> {
        match self.lists {
            true => self.inner.list(),
            false => Box::pin(stream::iter([Err(failed())])),
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.ready { Ok(()) } else { Err(failed()) }
    }
}

#[test]
fn a_store_that_fails_as_a_whole_ends_it_and_one_file_does_not() {
    run(async {
        let (inner, lists) = (source(2).await, true);
        let good = Arc::new(inner.clone());
        let empty = MemoryCrateStore::new();

        let unlisted = Arc::new(Broken { inner: inner.clone(), ..Broken::default() });
        let end = FileMigration::new(unlisted, good.clone()).run(|_, _| {}).await;
        assert!(matches!(end, Err(FileMigrateError::Source(_))), "{end:?}");

        let unread = Arc::new(Broken { inner: inner.clone(), lists, ..Broken::default() });
        let (migrated, failures) =
            outcome(FileMigration::new(unread, Arc::new(empty.clone()))).await;
        assert_eq!(counts(&migrated), [count(2, 1), NONE, NONE, count(2, 1)]);
        let reason = FileCopyError::Source(failed()).to_string();
        let expected = [(key(0, b""), reason.clone()), (key(1, b"."), reason)];
        assert_eq!(BTreeMap::from_iter(failures), BTreeMap::from(expected));

        let down = Broken { inner: empty, ..Broken::default() };
        let end = FileMigration::new(good.clone(), Arc::new(down.clone())).run(|_, _| {}).await;
        assert!(matches!(end, Err(FileMigrateError::Target(_))), "{end:?}");

        let full = Arc::new(Broken { full: true, ready: true, ..down.clone() });
        let end = FileMigration::new(good.clone(), full).run(|_, _| {}).await;
        assert!(matches!(end, Err(FileMigrateError::Target(StoreError::Full { .. }))), "{end:?}");

        let picky = Arc::new(Broken { ready: true, ..down });
        let (migrated, _) = outcome(FileMigration::new(good, picky)).await;
        assert_eq!(counts(&migrated), [count(2, 1), NONE, NONE, count(2, 1)]);
    });
}

#[test]
fn a_file_that_goes_away_meanwhile_is_told() {
    run(async {
        let inner = source(2).await;
        let gone = Arc::new(Broken { inner, lists: true, gone: true, ..Broken::default() });
        let to = Arc::new(MemoryCrateStore::new());
        let (migrated, failures) = outcome(FileMigration::new(gone, to)).await;
        assert_eq!(counts(&migrated), [count(2, 1), NONE, NONE, count(2, 1)]);
        assert!(failures.iter().all(|(_, error)| *error == FileCopyError::Gone.to_string()));
    });
}
