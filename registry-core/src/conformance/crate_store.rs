//! The promises of [`CrateStore`]; see [`crate_store_conformance!`](crate::crate_store_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{
    fs::File,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::JoinSet;

use super::{Bench, abandoned_after, record_fixture::version};
use crate::{
    Checksum,
    name::CrateName,
    store::{ByteRange, CrateBody, CrateKey, CrateStore, SpooledFile},
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
                a_part_of_a_file_is_read
                a_file_from_a_spool_is_kept_when_the_spool_is_gone
                every_file_is_listed_once
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
pub(super) fn file(name: &str, version_text: &str) -> (CrateKey, Bytes) {
    let bytes = Bytes::from(format!("the file of {name} {version_text}"));
    (key(name, version_text, &bytes), bytes)
}

pub(super) fn key(name: &str, version_text: &str, bytes: &Bytes) -> CrateKey {
    let (name, version) = (CrateName::new(name).unwrap(), version(version_text));
    CrateKey { name, version, checksum: Checksum::of(bytes) }
}

pub(super) async fn put(store: &dyn CrateStore, (key, bytes): &(CrateKey, Bytes)) {
    store.put(key, CrateBody::from(bytes.clone())).await.unwrap();
}

pub(super) async fn read(store: &dyn CrateStore, key: &CrateKey) -> Option<Bytes> {
    let file = store.get(key, None).await.unwrap()?;
    let size = file.size;
    let bytes = file.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, size, "{key}");
    Some(bytes)
}

/// Whole and listed once.
pub(super) async fn assert_stored(store: &dyn CrateStore, (key, bytes): &(CrateKey, Bytes)) {
    // Not by `assert_eq`, which would print megabytes.
    assert!(read(store, key).await.as_ref() == Some(bytes), "{key} is not what was put");
    let told = store.head(key).await.unwrap().map(|stored| (stored.key, stored.size));
    assert_eq!(told, Some((key.clone(), bytes.len() as u64)));
    let listed: Vec<_> = list(store).await.into_iter().filter(|(k, _)| k == key).collect();
    assert_eq!(listed, [(key.clone(), bytes.len() as u64)]);
}

pub(super) async fn assert_absent(store: &dyn CrateStore, key: &CrateKey) {
    assert!(store.get(key, None).await.unwrap().is_none(), "{key} is there");
    assert_eq!(store.head(key).await.unwrap(), None);
    assert!(list(store).await.iter().all(|(listed, _)| listed != key), "{key} is listed");
}

/// All files with their lengths, in the order of their keys.
pub(super) async fn list(store: &dyn CrateStore) -> Vec<(CrateKey, u64)> {
    let listed: Vec<_> = store.list().try_collect().await.unwrap();
    let mut files: Vec<_> = listed.into_iter().map(|stored| (stored.key, stored.size)).collect();
    files.sort();
    files
}

pub async fn a_new_store_is_ready_and_empty(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    store.ready().await.unwrap();
    assert_eq!(list(&*store).await, []);
    let (key, _) = file("foo", "1.0.0");
    assert!(store.get(&key, None).await.unwrap().is_none());
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

    let opened = store.get(&one.0, None).await.unwrap().unwrap().modified;
    let listed = store.list().next().await.unwrap().unwrap().modified;
    let told = store.head(&one.0).await.unwrap().unwrap().modified;
    for modified in [opened, listed, told] {
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
pub(super) fn long_file() -> (CrateKey, Bytes, CrateBody) {
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
    let opened = store.get(&one.0, None).await.unwrap().unwrap();
    put(&*store, &one).await;
    assert_eq!(opened.bytes().await.unwrap(), one.1);
    assert_stored(&*store, &one).await;
    assert_eq!(list(&*store).await.len(), 1);
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
}

pub async fn every_file_is_listed_once(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let names = ["a", "a1", "A_b", "aa", "con", "serde-json", "Serde_Json-2"];
    let versions = ["0.9.0", "1.0.0-RC", "1.0.0-rc", "1.0.0", "1.0.0+9", "1.0.0+x", "10.0.0"];
    let mut files = Vec::new();
    for name in names {
        files.extend(versions.map(|version| file(name, version)));
    }
    for one in &files {
        put(&*store, one).await;
    }
    files.sort();
    let expected: Vec<_> =
        files.iter().map(|(key, bytes)| (key.clone(), bytes.len() as u64)).collect();
    assert_eq!(list(&*store).await, expected);
}

pub async fn a_listing_keeps_up_with_puts(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let early: Vec<_> = (0..10).map(|i| file("early", &format!("1.{i}.0"))).collect();
    for one in &early {
        put(&*store, one).await;
    }
    let (mut listing, mut all) = (store.list(), Vec::new());
    while let Some(stored) = listing.next().await {
        all.push(stored.unwrap().key);
        // Only so often that the listing has an end.
        for name in ["a", "early", "late"].iter().take_while(|_| all.len() < 5) {
            put(&*store, &file(name, &format!("1.2.0-{}", all.len()))).await;
        }
    }
    drop(listing);
    for (key, _) in &early {
        assert_eq!(all.iter().filter(|listed| *listed == key).count(), 1, "{key} in {all:?}");
    }
}

pub async fn a_part_of_a_file_is_read(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let (key, bytes, body) = long_file();
    store.put(&key, body).await.unwrap();
    let size = bytes.len() as u64;
    for (range, expected) in [
        (ByteRange::FromTo(0, 0), 0..1),
        (ByteRange::FromTo(1, size), 1..size),
        (ByteRange::FromTo(300_000, 700_000), 300_000..700_001),
        (ByteRange::From(size - 1), size - 1..size),
        (ByteRange::From(0), 0..size),
        (ByteRange::From(size), size..size),
        (ByteRange::FromTo(size + 5, u64::MAX), size..size),
        (ByteRange::Last(0), size..size),
        (ByteRange::Last(5), size - 5..size),
        (ByteRange::Last(u64::MAX), 0..size),
    ] {
        let part = store.get(&key, Some(range)).await.unwrap().unwrap();
        assert_eq!((part.size, part.range.clone()), (size, expected.clone()), "{range:?}");
        let read = part.bytes().await.unwrap();
        assert!(read == bytes[expected.start as usize..expected.end as usize], "{range:?}");
    }
    let absent = file("absent", "1.0.0").0;
    assert!(store.get(&absent, Some(ByteRange::From(0))).await.unwrap().is_none());
    let nothing = self::key("foo", "1.0.0", &Bytes::new());
    store.put(&nothing, CrateBody::default()).await.unwrap();
    for range in [ByteRange::From(0), ByteRange::Last(1), ByteRange::FromTo(0, 0)] {
        let part = store.get(&nothing, Some(range)).await.unwrap().unwrap();
        assert_eq!((part.size, part.range.clone()), (0, 0..0), "{range:?}");
        assert_eq!(part.bytes().await.unwrap(), "", "{range:?}");
    }
}

pub async fn a_file_from_a_spool_is_kept_when_the_spool_is_gone(bench: Bench<dyn CrateStore>) {
    let store = bench.open().await;
    let folder = tempfile::tempdir().unwrap();
    let (key, bytes, _) = long_file();
    let path = folder.path().join("spooled");
    std::fs::write(&path, &bytes).unwrap();
    let spooled = SpooledFile::new(File::open(&path).unwrap(), path.clone());
    let body = CrateBody::spooled(spooled).unwrap();
    store.put(&key, body.clone()).await.unwrap();
    // Again, which finds the spool where it was or not.
    store.put(&key, body).await.unwrap();
    assert!(!path.exists());
    drop(folder);
    assert_stored(&*store, &(key, bytes)).await;
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
    assert_eq!(list(&*store).await.len(), files.len());
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
    assert_eq!(list(&*store).await.len(), 1);
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
    let files = [file("foo", "1.0.0"), file("Foo-Bar", "1.0.0-A+B")];
    let store = bench.open().await;
    for one in &files {
        put(&*store, one).await;
    }
    drop(store);
    let store = bench.open().await;
    store.ready().await.unwrap();
    assert_stored(&*store, &files[0]).await;
    assert_stored(&*store, &files[1]).await;
    assert_eq!(list(&*store).await.len(), 2);
}

pub async fn two_handles_are_one_store(bench: Bench<dyn CrateStore>) {
    let (left, right) = (bench.open().await, bench.open().await);
    let one = file("foo", "1.0.0");
    put(&*left, &one).await;
    assert_stored(&*right, &one).await;
    put(&*right, &one).await;
    assert_stored(&*left, &one).await;
}
