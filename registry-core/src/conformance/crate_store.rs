//! The promises of [`CrateStore`]; see [`crate_store_conformance!`](crate::crate_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    Bench, abandoned_after,
    record_fixture::{canonical, version},
};
use crate::{
    Checksum,
    store::{CrateBody, CrateKey, CrateStore},
};

/// Proves a [`CrateStore`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryCrateStore;
///
/// registry_core::crate_store_conformance!(memory, volatile: async || MemoryCrateStore::new());
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! crate_store_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, crate_store;
            any:
                a_new_store_is_ready_and_empty
                a_file_comes_back_whole
                an_empty_file_is_a_file
                a_long_file_comes_back_whole
                putting_a_file_again_changes_nothing
                files_are_told_apart_by_every_part_of_the_key
                a_deleted_file_is_absent
                files_are_listed_in_pages
                a_listing_keeps_up_with_puts
                keys_at_their_limits_are_kept
                concurrent_puts_of_one_file_all_succeed
                an_abandoned_put_leaves_the_whole_file_or_none;
            durable:
                every_file_is_there_after_a_restart
                two_handles_are_one_store;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl CrateStore) -> Arc<dyn CrateStore> {
    Arc::new(store)
}

/// A file of its own for each name and version, with its key.
fn file(name: &str, version_text: &str) -> (CrateKey, Bytes) {
    let bytes = Bytes::from(format!("the file of {name} {version_text}"));
    (key(name, version_text, &bytes), bytes)
}

fn key(name: &str, version_text: &str, bytes: &Bytes) -> CrateKey {
    let (name, version) = (canonical(name), version(version_text));
    CrateKey { name, version, checksum: Checksum::of(bytes) }
}

async fn put(store: &dyn CrateStore, (key, bytes): &(CrateKey, Bytes)) {
    store.put(key, CrateBody::from(bytes.clone())).await.unwrap();
}

async fn read(store: &dyn CrateStore, key: &CrateKey) -> Option<Bytes> {
    let file = store.get(key).await.unwrap()?;
    let size = file.size;
    let bytes = file.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, size, "{key}");
    Some(bytes)
}

/// Whole and listed once.
async fn assert_stored(store: &dyn CrateStore, (key, bytes): &(CrateKey, Bytes)) {
    // Not by `assert_eq`, which would print megabytes.
    assert!(read(store, key).await.as_ref() == Some(bytes), "{key} is not what was put");
    let listed: Vec<_> = list(store, 100).await.into_iter().filter(|(k, _)| k == key).collect();
    assert_eq!(listed, [(key.clone(), bytes.len() as u64)]);
}

async fn assert_absent(store: &dyn CrateStore, key: &CrateKey) {
    assert!(store.get(key).await.unwrap().is_none(), "{key} is there");
    assert!(list(store, 100).await.iter().all(|(listed, _)| listed != key), "{key} is listed");
}

/// Reads page after page to the end; each page is full but the last.
async fn list(store: &dyn CrateStore, limit: usize) -> Vec<(CrateKey, u64)> {
    let limit = NonZeroUsize::new(limit).unwrap();
    let mut all: Vec<(CrateKey, u64)> = Vec::new();
    loop {
        let page = store.list(all.last().map(|(key, _)| key), limit).await.unwrap();
        let is_last = page.len() < limit.get();
        assert!(page.len() <= limit.get(), "{} files, limit {limit}", page.len());
        all.extend(page.into_iter().map(|stored| (stored.key, stored.size)));
        if is_last {
            return all;
        }
    }
}

pub async fn a_new_store_is_ready_and_empty(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    store.ready().await.unwrap();
    assert_eq!(list(&*store, 1).await, []);
    let (key, _) = file("foo", "1.0.0");
    assert!(store.get(&key).await.unwrap().is_none());
}

pub async fn a_file_comes_back_whole(bench: Bench<dyn CrateStore>) {
    // Clocks of file systems and of remote stores may be a little off.
    const SLACK: Duration = Duration::from_secs(60);
    let store = bench.open().await;
    let every_byte: Bytes = (0..=u8::MAX).collect::<Vec<_>>().into();
    let one = (key("Foo-Bar", "1.0.0", &every_byte), every_byte);
    let before = SystemTime::now() - SLACK;
    put(&*store, &one).await;
    let after = SystemTime::now() + SLACK;
    assert_stored(&*store, &one).await;

    let opened = store.get(&one.0).await.unwrap().unwrap().modified;
    let listed = store.list(None, NonZeroUsize::MIN).await.unwrap()[0].modified;
    for modified in [opened, listed] {
        assert!(before <= modified && modified <= after, "{modified:?}");
    }
}

pub async fn an_empty_file_is_a_file(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let nothing = (key("foo", "1.0.0", &Bytes::new()), Bytes::new());
    put(&*store, &nothing).await;
    assert_stored(&*store, &nothing).await;
    let in_no_pieces = key("foo", "1.0.1", &Bytes::new());
    store.put(&in_no_pieces, CrateBody::default()).await.unwrap();
    assert_stored(&*store, &(in_no_pieces, Bytes::new())).await;
}

pub async fn a_long_file_comes_back_whole(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let (key, bytes, body) = long_file();
    store.put(&key, body).await.unwrap();
    assert_stored(&*store, &(key, bytes)).await;
}

/// 5 MiB that repeat nowhere, in uneven pieces, some of them empty.
fn long_file() -> (CrateKey, Bytes, CrateBody) {
    let bytes: Bytes =
        (0..5 * 1024 * 1024 / 4_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into();
    let (mut chunks, mut rest) = (Vec::new(), bytes.clone());
    for size in [0, 1, 4095, 65_536, 7, 300_000].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to(size.min(rest.len())));
    }
    (key("long", "1.0.0", &bytes), bytes, CrateBody::from(chunks))
}

pub async fn putting_a_file_again_changes_nothing(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let one = file("foo", "1.0.0");
    put(&*store, &one).await;
    // Opened before and read after: a reader keeps what it has.
    let opened = store.get(&one.0).await.unwrap().unwrap();
    put(&*store, &one).await;
    assert_eq!(opened.bytes().await.unwrap(), one.1);
    assert_stored(&*store, &one).await;
    assert_eq!(list(&*store, 10).await.len(), 1);
}

pub async fn files_are_told_apart_by_every_part_of_the_key(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let other_bytes = Bytes::from("other");
    let files = [
        file("foo", "1.0.0"),
        file("foo", "1.0.1"),
        file("foo-bar", "1.0.0"),
        file("foobar", "1.0.0"),
        // Equal but for the checksum; but for case; but for build metadata.
        (key("foo", "1.0.0", &other_bytes), other_bytes),
        file("foo", "1.0.0-rc.A"),
        file("foo", "1.0.0-rc.a"),
        file("foo", "1.0.0+Build"),
        file("foo", "1.0.0+build"),
        file("foo", "1.0.0-rc+build"),
        file("foo", "1.0.0-rc-build"),
    ];
    for one in &files {
        assert_absent(&*store, &one.0).await;
        put(&*store, one).await;
    }
    for one in &files {
        assert_stored(&*store, one).await;
    }
    store.delete(&files[0].0).await.unwrap();
    assert_absent(&*store, &files[0].0).await;
    for one in &files[1..] {
        assert_stored(&*store, one).await;
    }
}

pub async fn a_deleted_file_is_absent(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let (one, other) = (file("foo", "1.0.0"), file("foo", "2.0.0"));
    store.delete(&one.0).await.unwrap();
    put(&*store, &one).await;
    put(&*store, &other).await;
    for _ in 0..2 {
        store.delete(&one.0).await.unwrap();
        assert_absent(&*store, &one.0).await;
        assert_stored(&*store, &other).await;
    }
    put(&*store, &one).await;
    assert_stored(&*store, &one).await;
}

pub async fn files_are_listed_in_pages(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    // In the order of the keys: names by their bytes, versions by precedence, then by build.
    let sorted = [
        file("a", "1.0.0"),
        file("a1", "1.0.0"),
        file("a_b", "0.9.0"),
        file("a_b", "0.10.0"),
        file("a_b", "1.0.0-1"),
        file("a_b", "1.0.0-2"),
        file("a_b", "1.0.0-10"),
        file("a_b", "1.0.0-RC"),
        file("a_b", "1.0.0-rc"),
        file("a_b", "1.0.0"),
        file("a_b", "1.0.0+9"),
        file("a_b", "1.0.0+10"),
        file("a_b", "1.0.0+X"),
        file("a_b", "1.0.0+x"),
        file("a_b", "2.0.0"),
        file("a_b", "10.0.0"),
        file("aa", "1.0.0"),
        file("con", "1.0.0"),
    ];
    for turn in 0..sorted.len() {
        // 7 and 18 have no common factor, so every file has its turn.
        put(&*store, &sorted[turn * 7 % sorted.len()]).await;
    }
    let expected: Vec<_> =
        sorted.iter().map(|(key, bytes)| (key.clone(), bytes.len() as u64)).collect();
    for limit in [1, 2, 5, 17, 18, 19, 1000] {
        assert_eq!(list(&*store, limit).await, expected, "limit {limit}");
    }
    // The key to begin behind needs not be there.
    for (after, first) in
        [(file("a0", "1.0.0"), 1), (file("a_b", "1.0.0-3"), 6), (file("zz", "1.0.0"), 18)]
    {
        let limit = NonZeroUsize::new(100).unwrap();
        let rest = store.list(Some(&after.0), limit).await.unwrap();
        let rest: Vec<_> = rest.into_iter().map(|stored| (stored.key, stored.size)).collect();
        assert_eq!(rest, expected[first..], "after {}", after.0);
    }
}

pub async fn a_listing_keeps_up_with_puts(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let early: Vec<_> = (0..10).map(|i| file("early", &format!("1.{i}.0"))).collect();
    for one in &early {
        put(&*store, one).await;
    }
    let limit = NonZeroUsize::new(3).unwrap();
    let (mut all, mut pages): (Vec<CrateKey>, usize) = (Vec::new(), 0);
    loop {
        let page = store.list(all.last(), limit).await.unwrap();
        let is_last = page.len() < limit.get();
        all.extend(page.into_iter().map(|stored| stored.key));
        if is_last {
            break;
        }
        // Before, between and behind the files that are there, and only so often that the listing
        // has an end.
        for name in ["a", "early", "late"].iter().take_while(|_| pages < 5) {
            put(&*store, &file(name, &format!("1.2.0-{pages}"))).await;
        }
        pages += 1;
    }
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    assert!(early.iter().all(|(key, _)| all.contains(key)), "{all:?}");
}

pub async fn keys_at_their_limits_are_kept(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let longest_name = "a-B_".repeat(16);
    let build = format!("1.0.0+{}", "Z-9.".repeat(36));
    let longest_version = build.trim_end_matches('.');
    let pre = format!("{max}.{max}.{max}-{tail}", max = u64::MAX, tail = "a".repeat(87));
    let mut files = Vec::new();
    for name in ["a", "Z", "ab", "abc", "x-", "con", "nul", "com1", "tmp", &longest_name] {
        files.push(file(name, "0.0.0"));
    }
    for version in [longest_version, &pre, "0.0.0--", "0.0.0+-", "0.0.0-con", "0.0.0-x.crate"] {
        files.push(file(&longest_name, version));
    }
    for one in &files {
        put(&*store, one).await;
    }
    for one in &files {
        assert_stored(&*store, one).await;
    }
    assert_eq!(list(&*store, 7).await.len(), files.len());
}

pub async fn concurrent_puts_of_one_file_all_succeed(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let (key, bytes, body) = long_file();
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (writer, key_of, body) = (Arc::clone(&store), key.clone(), body.clone());
        writers.spawn(async move { writer.put(&key_of, body).await.unwrap() });
        let (store, key, bytes) = (Arc::clone(&store), key.clone(), bytes.clone());
        writers.spawn(async move {
            // As soon as it is there at all, it is there whole.
            while read(&*store, &key).await.is_none_or(|read| {
                assert!(read == bytes, "a part of a file was read");
                false
            }) {
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(joined) = writers.join_next().await {
        joined.unwrap();
    }
    assert_stored(&*store, &(key, bytes)).await;
    assert_eq!(list(&*store, 10).await.len(), 1);
}

pub async fn an_abandoned_put_leaves_the_whole_file_or_none(bench: Bench<dyn CrateStore>) {
    // More polls than any put needs, so that the last round is not abandoned at all.
    const MOST_POLLS: usize = 1000;
    let store = bench.open().await;
    for polls in 1..=MOST_POLLS {
        let bytes: Bytes = polls.to_le_bytes().repeat(40_000).into();
        let one = (key("foo", &format!("1.0.{polls}"), &bytes), bytes);
        let chunks: Vec<Bytes> = one.1.chunks(16_384).map(Bytes::copy_from_slice).collect();
        let put = abandoned_after(polls, store.put(&one.0, chunks.into())).await;
        if let Some(read) = read(&*store, &one.0).await {
            assert!(read == one.1, "a part of a file was left");
        }
        if let Some(result) = put {
            result.unwrap();
            assert_stored(&*store, &one).await;
            return;
        }
        // What was left of the first attempt is not in the way of the next.
        self::put(&*store, &one).await;
        assert_stored(&*store, &one).await;
    }
    panic!("a put was polled {MOST_POLLS} times and was not done");
}

pub async fn every_file_is_there_after_a_restart(bench: Bench<dyn CrateStore>) {
    let files = [file("foo", "1.0.0"), file("Foo-Bar", "1.0.0-A+B"), file("gone", "1.0.0")];
    let store = bench.open().await;
    for one in &files {
        put(&*store, one).await;
    }
    store.delete(&files[2].0).await.unwrap();
    drop(store);
    let store = bench.open().await;
    store.ready().await.unwrap();
    assert_stored(&*store, &files[0]).await;
    assert_stored(&*store, &files[1]).await;
    assert_absent(&*store, &files[2].0).await;
    assert_eq!(list(&*store, 10).await.len(), 2);
}

pub async fn two_handles_are_one_store(bench: Bench<dyn CrateStore>) {
    let (left, right) = (bench.open().await, bench.open().await);
    let one = file("foo", "1.0.0");
    put(&*left, &one).await;
    assert_stored(&*right, &one).await;
    put(&*right, &one).await;
    right.delete(&one.0).await.unwrap();
    assert_absent(&*left, &one.0).await;
}
