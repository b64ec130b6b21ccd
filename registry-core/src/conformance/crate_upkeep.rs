//! The promises of [`CrateUpkeep`]; see
//! [`crate_upkeep_conformance!`](crate::crate_upkeep_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::task::JoinSet;

use super::{
    Bench, MOST_POLLS, abandoned_after,
    crate_store::{assert_absent, assert_stored, file, key, list, long_file, put, read},
};
use crate::store::{AsideCrate, AsideReason, ByteRange, CrateKey, CrateUpkeep, StoreError};

/// Proves a [`CrateUpkeep`], one `#[test]` per promise, in a module of the name given. What it
/// promises as a [`CrateStore`](crate::CrateStore) is proved by
/// [`crate_store_conformance!`](crate::crate_store_conformance).
///
/// ```
/// use registry_core::memory::MemoryCrateStore;
///
/// registry_core::crate_upkeep_conformance!(memory, volatile: async || MemoryCrateStore::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! crate_upkeep_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, crate_upkeep;
            any:
                what_is_put_aside_is_told_and_not_listed
                an_unnamed_file_is_read_as_before
                a_damaged_file_is_refused
                a_file_in_its_place_is_read_before_all_others
                an_unnamed_file_is_read_rather_than_a_damaged_one
                where_there_is_no_file_nothing_is_put_aside
                each_time_aside_is_an_entry_of_its_own
                a_file_is_put_back_whatever_it_was_aside_for
                putting_back_replaces_nothing
                a_purged_file_is_gone
                a_file_aside_is_opened_whatever_it_is_aside_for
                a_file_is_put_aside_by_every_part_of_its_key
                concurrent_moves_lose_no_file
                a_put_in_the_middle_of_a_move_is_found
                an_abandoned_set_aside_loses_no_file
                an_abandoned_put_back_loses_no_file;
            durable:
                what_is_aside_is_there_after_a_restart
                two_handles_are_one_upkeep;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl CrateUpkeep) -> Arc<dyn CrateUpkeep> {
    Arc::new(store)
}

use AsideReason::{Damaged, Unnamed};

/// All entries, in the order of their keys and ids.
async fn aside(store: &dyn CrateUpkeep) -> Vec<AsideCrate> {
    let mut entries: Vec<_> = store.list_aside().try_collect().await.unwrap();
    entries.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    entries
}

/// Puts a file, and then puts it aside: the entry that was made.
async fn put_aside(
    store: &dyn CrateUpkeep,
    one: &(CrateKey, Bytes),
    reason: AsideReason,
) -> AsideCrate {
    put(store, one).await;
    let before = aside(store).await;
    store.set_aside(&one.0, reason).await.unwrap();
    let mut after = aside(store).await;
    after.retain(|entry| !before.contains(entry));
    assert_eq!(after.len(), 1, "{after:?}");
    let entry = after.remove(0);
    let told = (&entry.key, entry.reason, entry.size);
    assert_eq!(told, (&one.0, reason, one.1.len() as u64));
    entry
}

async fn assert_quarantined(store: &dyn CrateUpkeep, key: &CrateKey) {
    let ranges = [None, Some(ByteRange::FromTo(0, 0)), Some(ByteRange::Last(u64::MAX))];
    for range in ranges {
        match store.get(key, range).await {
            Err(StoreError::Quarantined { key: told }) => assert_eq!(*told, *key),
            other => panic!("{range:?} of what is quarantined: {other:?}"),
        }
    }
    match store.head(key).await {
        Err(StoreError::Quarantined { key: told }) => assert_eq!(*told, *key),
        other => panic!("the head of what is quarantined: {other:?}"),
    }
}

/// Not by `assert_eq`, which would print megabytes.
async fn assert_read(store: &dyn CrateUpkeep, (key, bytes): &(CrateKey, Bytes)) {
    assert!(read(store, key).await.as_ref() == Some(bytes), "{key} is not what was put");
}

pub async fn what_is_put_aside_is_told_and_not_listed(bench: Bench<dyn CrateUpkeep>) {
    // Clocks of remote stores may be a little off, and entries tell full seconds.
    const SLACK: Duration = Duration::from_secs(60);
    let store = bench.open().await;
    assert_eq!(aside(&*store).await, []);
    let (one, other) = (file("Foo-Bar", "1.0.0-rc+Build"), file("foo", "1.0.1"));
    put(&*store, &other).await;
    for reason in [Unnamed, Damaged] {
        let before = SystemTime::now() - SLACK;
        let entry = put_aside(&*store, &one, reason).await;
        assert!(before <= entry.since && entry.since <= SystemTime::now() + SLACK, "{entry:?}");
        assert_eq!(list(&*store).await, [(other.0.clone(), other.1.len() as u64)]);
        assert_stored(&*store, &other).await;
    }
}

pub async fn an_unnamed_file_is_read_as_before(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let (key, bytes, body) = long_file();
    store.put(&key, body).await.unwrap();
    // Opened before and read after: a reader keeps what it has.
    let opened = store.get(&key, None).await.unwrap().unwrap();
    store.set_aside(&key, Unnamed).await.unwrap();
    assert!(opened.bytes().await.unwrap() == bytes);
    let size = bytes.len() as u64;
    assert_read(&*store, &(key.clone(), bytes.clone())).await;
    let told = store.head(&key).await.unwrap().map(|stored| (stored.key, stored.size));
    assert_eq!(told, Some((key.clone(), size)));
    for (range, expected) in [
        (ByteRange::FromTo(300_000, 700_000), 300_000..700_001),
        (ByteRange::From(size), size..size),
        (ByteRange::Last(5), size - 5..size),
    ] {
        let part = store.get(&key, Some(range)).await.unwrap().unwrap();
        assert_eq!((part.size, part.range.clone()), (size, expected.clone()), "{range:?}");
        let read = part.bytes().await.unwrap();
        assert!(read == bytes[expected.start as usize..expected.end as usize], "{range:?}");
    }
    assert_eq!(list(&*store).await, []);
}

pub async fn a_damaged_file_is_refused(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let (damaged, other) = (file("foo", "1.0.0"), file("foo", "1.0.1"));
    put(&*store, &other).await;
    put_aside(&*store, &damaged, Damaged).await;
    assert_quarantined(&*store, &damaged.0).await;
    assert_stored(&*store, &other).await;
    assert_absent(&*store, &file("foo", "1.0.2").0).await;
}

pub async fn a_file_in_its_place_is_read_before_all_others(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let good = file("foo", "1.0.0");
    let bad = (good.0.clone(), Bytes::from("damaged"));
    for reason in [Damaged, Unnamed] {
        put_aside(&*store, &bad, reason).await;
        put(&*store, &good).await;
        assert_stored(&*store, &good).await;
    }
    let reasons: BTreeSet<_> = aside(&*store).await.iter().map(|entry| entry.reason).collect();
    assert_eq!(reasons, [Unnamed, Damaged].into());
}

pub async fn an_unnamed_file_is_read_rather_than_a_damaged_one(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    for (version, order) in [("1.0.0", [Unnamed, Damaged]), ("1.0.1", [Damaged, Unnamed])] {
        let good = file("foo", version);
        let bad = (good.0.clone(), Bytes::from("damaged"));
        for reason in order {
            let file = if reason == Unnamed { &good } else { &bad };
            put_aside(&*store, file, reason).await;
        }
        assert_read(&*store, &good).await;
    }
}

pub async fn where_there_is_no_file_nothing_is_put_aside(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let one = file("foo", "1.0.0");
    for reason in [Unnamed, Damaged] {
        store.set_aside(&one.0, reason).await.unwrap();
        assert_eq!(aside(&*store).await, []);
        assert_absent(&*store, &one.0).await;
    }
    let entry = put_aside(&*store, &one, Unnamed).await;
    // The one that is aside already is not in its place.
    store.set_aside(&one.0, Damaged).await.unwrap();
    assert_eq!(aside(&*store).await, [entry]);
    assert_read(&*store, &one).await;
}

pub async fn each_time_aside_is_an_entry_of_its_own(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let one = file("foo", "1.0.0");
    let mut entries = Vec::new();
    for reason in [Unnamed, Unnamed, Damaged, Damaged, Unnamed] {
        entries.push(put_aside(&*store, &one, reason).await);
    }
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(ids.len(), entries.len());
    while let Some(entry) = entries.pop() {
        let left: Vec<_> = aside(&*store).await.into_iter().map(|entry| entry.id).collect();
        assert!(left.contains(&entry.id));
        assert_eq!(left.len(), entries.len() + 1);
        store.purge(&entry).await.unwrap();
    }
    assert_eq!(aside(&*store).await, []);
    assert_absent(&*store, &one.0).await;
}

pub async fn a_file_is_put_back_whatever_it_was_aside_for(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    for (version, reason) in [("1.0.0", Unnamed), ("1.0.0+Build", Damaged)] {
        let one = file("foo", version);
        let entry = put_aside(&*store, &one, reason).await;
        store.put_back(&entry).await.unwrap();
        assert_stored(&*store, &one).await;
        assert_eq!(aside(&*store).await, []);
        store.put_back(&entry).await.unwrap();
        assert_stored(&*store, &one).await;
    }
}

pub async fn putting_back_replaces_nothing(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let good = file("foo", "1.0.0");
    let bad = (good.0.clone(), Bytes::from("damaged"));
    for reason in [Unnamed, Damaged] {
        let entry = put_aside(&*store, &bad, reason).await;
        put(&*store, &good).await;
        store.put_back(&entry).await.unwrap();
        assert_stored(&*store, &good).await;
        assert!(!aside(&*store).await.contains(&entry));
    }
}

pub async fn a_purged_file_is_gone(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let one = file("foo", "1.0.0");
    for reason in [Unnamed, Damaged] {
        let entry = put_aside(&*store, &one, reason).await;
        store.purge(&entry).await.unwrap();
        assert_absent(&*store, &one.0).await;
        // Once more, and what has come too late, changes nothing.
        store.purge(&entry).await.unwrap();
        store.put_back(&entry).await.unwrap();
        assert!(store.open_aside(&entry).await.unwrap().is_none());
        assert_absent(&*store, &one.0).await;
        assert_eq!(aside(&*store).await, []);
    }
    // A file in its place is not touched by what becomes of one that was aside.
    let entry = put_aside(&*store, &one, Unnamed).await;
    put(&*store, &one).await;
    store.purge(&entry).await.unwrap();
    assert_stored(&*store, &one).await;
}

pub async fn a_file_aside_is_opened_whatever_it_is_aside_for(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let (key, bytes, body) = long_file();
    for reason in [Damaged, Unnamed] {
        store.put(&key, body.clone()).await.unwrap();
        store.set_aside(&key, reason).await.unwrap();
    }
    let other = (key, Bytes::from("other"));
    let of_other = put_aside(&*store, &other, Damaged).await;
    for entry in aside(&*store).await {
        let expected = if entry == of_other { &other.1 } else { &bytes };
        let file = store.open_aside(&entry).await.unwrap().unwrap();
        let size = expected.len() as u64;
        assert_eq!((file.size, file.range.clone(), entry.size), (size, 0..size, size));
        assert!(file.bytes().await.unwrap() == *expected, "{entry:?}");
    }
}

pub async fn a_file_is_put_aside_by_every_part_of_its_key(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let other_bytes = Bytes::from("other");
    let longest = format!("1.0.0+{}", "Z-9.".repeat(36));
    let longest = longest.trim_end_matches('.');
    let files = [
        file("foo", "1.0.0"),
        (key("foo", "1.0.0", &other_bytes), other_bytes),
        file("foo-bar", "1.0.0"),
        file("foo", "1.0.0-rc.A"),
        file("foo", "1.0.0-rc.a"),
        file("foo", "1.0.0+Build"),
        file("foo", "1.0.0+build"),
        file(&"a-B_".repeat(16), longest),
    ];
    for one in &files {
        put(&*store, one).await;
    }
    for (count, one) in files.iter().enumerate() {
        store.set_aside(&one.0, Damaged).await.unwrap();
        assert_quarantined(&*store, &one.0).await;
        for still in &files[count + 1..] {
            assert_stored(&*store, still).await;
        }
    }
    let mut told: Vec<_> = aside(&*store).await.into_iter().map(|entry| entry.key).collect();
    let mut expected: Vec<_> = files.iter().map(|(key, _)| key.clone()).collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    for entry in aside(&*store).await {
        store.put_back(&entry).await.unwrap();
    }
    for one in &files {
        assert_stored(&*store, one).await;
    }
    assert_eq!(list(&*store).await.len(), files.len());
}

/// Reads a file again and again while `moves` go on.
async fn read_beside(
    store: &Arc<dyn CrateUpkeep>,
    one: &(CrateKey, Bytes),
    mut moves: JoinSet<()>,
) {
    while !moves.is_empty() {
        while let Some(joined) = moves.try_join_next() {
            joined.unwrap();
        }
        assert_read(&**store, one).await;
        let size = store.head(&one.0).await.unwrap().map(|stored| stored.size);
        assert_eq!(size, Some(one.1.len() as u64), "the head of what is being moved");
        tokio::task::yield_now().await;
    }
}

pub async fn concurrent_moves_lose_no_file(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    let one = file("foo", "1.0.0");
    for _ in 0..4 {
        put(&*store, &one).await;
        let mut moves = JoinSet::new();
        for _ in 0..8 {
            let (store, key) = (store.clone(), one.0.clone());
            moves.spawn(async move { store.set_aside(&key, Unnamed).await.unwrap() });
        }
        read_beside(&store, &one, moves).await;
        assert_eq!(list(&*store).await, []);
        let entries = aside(&*store).await;
        assert!(!entries.is_empty());
        let mut moves = JoinSet::new();
        for entry in entries.iter().flat_map(|entry| [entry.clone(), entry.clone()]) {
            let store = store.clone();
            moves.spawn(async move { store.put_back(&entry).await.unwrap() });
        }
        read_beside(&store, &one, moves).await;
        assert_stored(&*store, &one).await;
        assert_eq!(aside(&*store).await, []);
    }
}

pub async fn a_put_in_the_middle_of_a_move_is_found(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let one = file("foo", &format!("1.0.{polls}"));
        put(&*store, &one).await;
        let mut moving = pin!(store.set_aside(&one.0, Unnamed));
        if let Some(result) = abandoned_after(polls, moving.as_mut()).await {
            return result.unwrap();
        }
        put(&*store, &one).await;
        assert_read(&*store, &one).await;
        moving.await.unwrap();
        assert_read(&*store, &one).await;
    }
    panic!("a file was polled {MOST_POLLS} times on its way aside");
}

pub async fn an_abandoned_set_aside_loses_no_file(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let one = file("foo", &format!("1.0.{polls}"));
        put(&*store, &one).await;
        let moved = abandoned_after(polls, store.set_aside(&one.0, Unnamed)).await;
        assert_read(&*store, &one).await;
        if let Some(result) = moved {
            result.unwrap();
            assert!(list(&*store).await.iter().all(|(listed, _)| *listed != one.0));
            return;
        }
        // What was left of the first attempt is not in the way of the next.
        store.set_aside(&one.0, Unnamed).await.unwrap();
        assert_read(&*store, &one).await;
    }
    panic!("a file was polled {MOST_POLLS} times on its way aside");
}

pub async fn an_abandoned_put_back_loses_no_file(bench: Bench<dyn CrateUpkeep>) {
    let store = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let one = file("foo", &format!("1.0.{polls}"));
        let entry = put_aside(&*store, &one, Unnamed).await;
        let moved = abandoned_after(polls, store.put_back(&entry)).await;
        assert_read(&*store, &one).await;
        if let Some(result) = moved {
            result.unwrap();
            assert_stored(&*store, &one).await;
            return;
        }
        store.put_back(&entry).await.unwrap();
        assert_stored(&*store, &one).await;
    }
    panic!("a file was polled {MOST_POLLS} times on its way back");
}

pub async fn what_is_aside_is_there_after_a_restart(bench: Bench<dyn CrateUpkeep>) {
    let (unnamed, damaged) = (file("foo", "1.0.0"), file("Foo-Bar", "1.0.0-A+B"));
    let store = bench.open().await;
    let entries =
        [put_aside(&*store, &damaged, Damaged).await, put_aside(&*store, &unnamed, Unnamed).await];
    drop(store);
    let store = bench.open().await;
    assert_eq!(aside(&*store).await, entries);
    assert_read(&*store, &unnamed).await;
    assert_quarantined(&*store, &damaged.0).await;
    for entry in &entries {
        store.put_back(entry).await.unwrap();
    }
    drop(store);
    let store = bench.open().await;
    assert_stored(&*store, &unnamed).await;
    assert_stored(&*store, &damaged).await;
}

pub async fn two_handles_are_one_upkeep(bench: Bench<dyn CrateUpkeep>) {
    let (left, right) = (bench.open().await, bench.open().await);
    let one = file("foo", "1.0.0");
    let entry = put_aside(&*left, &one, Damaged).await;
    assert_eq!(aside(&*right).await, std::slice::from_ref(&entry));
    assert_quarantined(&*right, &one.0).await;
    right.put_back(&entry).await.unwrap();
    assert_stored(&*left, &one).await;
    assert_eq!(aside(&*left).await, []);
}
