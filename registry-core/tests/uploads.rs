//! How uploads are taken in: how many at a time, and where. Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateName, CrateStore as _, Login, Owner, Registry, RegistryConfig, StoreError,
    ValidationRules,
    auth::{Caller, Principal},
    conformance::fixture::{publish_body, publish_body_of},
    memory::{MemoryCrateStore, MemoryIndex},
    registry::{PublishError, RegistryBuilder, Runtime, Uploads},
    store::{CrateKey, SpoolFolder},
};
use tokio::sync::Semaphore;

fn caller() -> Caller {
    Caller::from(Principal::from(Owner { id: 1, login: Login::new("alice").unwrap(), name: None }))
}

fn builder(crates: &MemoryCrateStore) -> RegistryBuilder {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    Registry::builder(config, MemoryIndex::new(), crates.clone())
}

/// A crate file that is somewhat longer than `bytes`, and its publish body.
fn large(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    let manifest = "[package]\nname = \"large\"\nversion = \"1.0.0\"\n";
    let filling: Vec<u8> = (0..bytes / 4).flat_map(|n| (n as u32).to_le_bytes()).collect();
    for (path, content) in [("Cargo.toml", manifest.as_bytes()), ("filling", &filling)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("large-1.0.0/{path}"), content).unwrap();
    }
    let file = tar.into_inner().unwrap().finish().unwrap();
    let body = publish_body_of(br#"{"name":"large","vers":"1.0.0"}"#, &file);
    (file, body)
}

fn key(file: &[u8]) -> CrateKey {
    CrateKey {
        name: CrateName::new("large").unwrap(),
        version: semver::Version::new(1, 0, 0),
        checksum: Checksum::of(file),
    }
}

/// A spool, and the settings with it.
fn spool() -> (tempfile::TempDir, PathBuf, Uploads) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("spool");
    let folder = Some(SpoolFolder::open(&path).unwrap());
    (parent, path, Uploads { folder, ..Uploads::default() })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_large_file_is_spooled_and_stored_byte_for_byte() {
    let (file, body) = large(5 << 20);
    for size in [body.len(), 1 << 20, 10_007] {
        let (crates, (_parent, folder, uploads)) = (MemoryCrateStore::new(), spool());
        let registry = builder(&crates).uploads(uploads).build();
        let mut publish = registry.begin_publish(caller(), Some(body.len() as u64)).await.unwrap();
        for chunk in body.chunks(size) {
            publish.write(chunk).await.unwrap();
        }
        let spooled = files(&folder);
        assert_eq!(spooled.len(), 1);
        // Nearly all of it, and no more than a write of it is in memory.
        assert!(fs::metadata(&spooled[0]).unwrap().len() + (2 << 20) > file.len() as u64);
        publish.finish().await.unwrap();
        assert_eq!(files(&folder), [""; 0].map(PathBuf::from));
        let stored = crates.get(&key(&file), None).await.unwrap().unwrap().bytes().await.unwrap();
        assert!(stored == file, "in pieces of {size}");
        assert_eq!(registry.verify().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_file_that_memory_is_for_is_never_on_disk() {
    let (_parent, folder, uploads) = spool();
    fs::remove_dir(&folder).unwrap();
    let (file, body) = large(1 << 19);
    let uploads = Uploads { memory_bytes: file.len() as u64, ..uploads };
    let crates = MemoryCrateStore::new();
    let registry = builder(&crates).uploads(uploads.clone()).build();
    let mut publish = registry.begin_publish(caller(), None).await.unwrap();
    publish.write(&body).await.unwrap();
    publish.finish().await.unwrap();
    assert!(!folder.exists());

    // One byte more is for the disk, even if it comes in one piece.
    let uploads = Uploads { memory_bytes: file.len() as u64 - 1, ..uploads };
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads).build();
    let mut publish = registry.begin_publish(caller(), None).await.unwrap();
    publish.write(&body).await.unwrap();
    publish.finish().await.unwrap();
    assert!(folder.exists());
}

#[tokio::test]
async fn a_limit_that_is_raised_is_not_undone_by_those_beside_it() {
    let (file, body) = large(3 << 20);
    let longest = u32::try_from(file.len()).unwrap();
    for (max_crate_bytes, is_taken) in [(longest, true), (longest - 1, false)] {
        // All that could be in the way of a file of that length is as small as can be said.
        let rules = ValidationRules {
            max_crate_bytes,
            max_unpacked_bytes: 0,
            max_ratio: 0,
            ..ValidationRules::private()
        };
        let (_parent, _, Uploads { folder, .. }) = spool();
        let uploads = Uploads {
            in_flight_bytes: Some(0),
            at_a_time: 0,
            patience: Duration::ZERO,
            memory_bytes: 0,
            folder,
        };
        let registry = builder(&MemoryCrateStore::new()).rules(rules).uploads(uploads).build();
        let mut publish = registry.begin_publish(caller(), None).await.unwrap();
        match (publish.write(&body).await, is_taken) {
            (Ok(()), true) => drop(publish.finish().await.unwrap()),
            (Err(PublishError::Frame(error)), false) => {
                assert_eq!(error.to_string(), format!("max upload size is: {max_crate_bytes}"));
            }
            (answer, _) => panic!("{max_crate_bytes}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn an_upload_that_comes_to_nothing_leaves_nothing() {
    let (_parent, folder, uploads) = spool();
    let crates = MemoryCrateStore::new();
    let registry = builder(&crates).uploads(uploads).build();
    let begin = async || registry.begin_publish(caller(), None).await.unwrap();
    let (_, body) = large(3 << 20);

    let mut dropped = begin().await;
    dropped.write(&body[..body.len() - 1]).await.unwrap();
    assert_eq!(files(&folder).len(), 1);
    drop(dropped);
    assert_eq!(files(&folder).len(), 0);

    let mut short = begin().await;
    short.write(&body[..body.len() - 1]).await.unwrap();
    assert!(matches!(short.finish().await, Err(PublishError::Frame(_))));
    assert_eq!(files(&folder).len(), 0);

    let mut damaged = body.clone();
    damaged[2 << 20] ^= 1;
    let mut invalid = begin().await;
    invalid.write(&damaged).await.unwrap();
    assert!(matches!(invalid.finish().await, Err(PublishError::Invalid(_))));
    assert_eq!(files(&folder).len(), 0);

    assert_eq!(crates.list().try_collect::<Vec<_>>().await.unwrap(), []);
}

/// Runs work on another thread, when it is told to; its time never passes.
#[derive(Clone, Debug)]
struct Slow {
    starts: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        Self { starts: Arc::new(Semaphore::new(0)), running: Arc::new(Semaphore::new(0)) }
    }
}

#[async_trait::async_trait]
impl Runtime for Slow {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let (starts, running) = (self.starts.clone(), self.running.clone());
        let (handle, spawned) = (tokio::runtime::Handle::current(), tokio::task::spawn_blocking);
        let done = spawned(move || {
            handle.block_on(starts.acquire()).unwrap().forget();
            work();
            running.add_permits(1);
        });
        done.await.unwrap();
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_upload_dropped_in_the_middle_of_a_write_leaves_nothing() {
    let (_parent, folder, uploads) = spool();
    let (runtime, (_, body)) = (Slow::new(), large(3 << 20));
    let uploads = Uploads { in_flight_bytes: Some(1), ..uploads };
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads).runtime(runtime.clone());
    let registry = registry.build();
    for finish in [false, true] {
        let mut publish = registry.begin_publish(caller(), None).await.unwrap();
        let mut write = Box::pin(publish.write(&body));
        assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(write);
        if finish {
            assert!(matches!(publish.finish().await, Err(PublishError::Frame(_))));
        } else {
            drop(publish);
        }
        // The work holds what it has in memory: there is no room for others until it has ended.
        let mut next = Box::pin(registry.begin_publish(caller(), None));
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        runtime.starts.add_permits(1);
        runtime.running.acquire().await.unwrap().forget();
        next.await.unwrap();
        assert_eq!(files(&folder).len(), 0);
    }
}

#[tokio::test]
async fn a_spool_that_fails_is_not_the_publishers_fault() {
    let (_parent, folder, uploads) = spool();
    let (_, body) = large(3 << 20);
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads).build();
    let mut publish = registry.begin_publish(caller(), None).await.unwrap();
    let failed = publish.write(&body).await.unwrap_err();
    let PublishError::Store(StoreError::Backend { backend, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(backend, "spool");
    assert!(matches!(publish.finish().await, Err(PublishError::Frame(_))));
}

/// Cuts off what is in a spool before each work but the first ones.
#[derive(Debug)]
struct Cutting {
    folder: PathBuf,
    spared: Mutex<usize>,
}

#[async_trait::async_trait]
impl Runtime for Cutting {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let mut spared = self.spared.lock().unwrap();
        match spared.checked_sub(1) {
            Some(left) => *spared = left,
            None => {
                for path in files(&self.folder) {
                    fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap();
                }
            }
        }
        work();
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_file_that_can_no_longer_be_read_is_not_the_publishers_fault() {
    let (_parent, folder, uploads) = spool();
    let (_, body) = large(3 << 19);
    // Two writes, then the validation.
    let runtime = Cutting { folder: folder.clone(), spared: Mutex::new(2) };
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads).runtime(runtime).build();
    let mut publish = registry.begin_publish(caller(), None).await.unwrap();
    publish.write(&body).await.unwrap();
    let failed = publish.finish().await.unwrap_err();
    let PublishError::Store(StoreError::Backend { backend, source }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!((backend, source.to_string()), ("spool", "unexpected end of file".into()));
    assert_eq!(files(&folder).len(), 0);
}

#[tokio::test]
async fn an_upload_waits_for_room_and_every_end_of_another_makes_some() {
    let (_, body) = large(2 << 20);
    let length = body.len() as u64;
    let uploads = Uploads { in_flight_bytes: Some(2 * length), ..Uploads::default() };
    let runtime = Slow::new();
    runtime.starts.add_permits(Semaphore::MAX_PERMITS);
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads).runtime(runtime).build();
    let begin = || Box::pin(registry.begin_publish(caller(), Some(length)));
    let pending = |future: &mut _| {
        let future = std::pin::Pin::new(future);
        Future::poll(future, &mut Context::from_waker(Waker::noop())).is_pending()
    };
    let _one = begin().await.unwrap();

    let dropped = begin().await.unwrap();
    let mut next = begin();
    assert!(pending(&mut next));
    drop(dropped);
    let mut refused = next.await.unwrap();

    let mut next = begin();
    refused.write(b"\xff\xff\xff\xff").await.unwrap_err();
    assert!(pending(&mut next));
    drop(refused);
    let unfinished = next.await.unwrap();

    let mut next = begin();
    assert!(pending(&mut next));
    unfinished.finish().await.unwrap_err();
    let mut finished = next.await.unwrap();

    let mut next = begin();
    assert!(pending(&mut next));
    finished.write(&body).await.unwrap();
    finished.finish().await.unwrap();
    next.await.unwrap();
}

#[tokio::test]
async fn an_upload_that_finds_no_room_in_time_is_refused() {
    // No time passes in waiting: `Inline`.
    let rules = ValidationRules::private();
    let uploads = |bytes| Uploads { in_flight_bytes: bytes, ..Uploads::default() };
    let begin = async |registry: &Registry, length| {
        registry.begin_publish(caller(), length).await.map_err(|error| error.to_string())
    };
    let busy = "others are uploading too much";

    let registry = builder(&MemoryCrateStore::new()).uploads(uploads(Some(1000))).build();
    let small = begin(&registry, Some(900)).await.unwrap();
    let fits = begin(&registry, Some(100)).await.unwrap();
    assert_eq!(begin(&registry, Some(1)).await.unwrap_err(), busy);
    drop((small, fits));
    // Of unknown length, and longer than there is room at all: alone.
    let all = begin(&registry, None).await.unwrap();
    assert_eq!(begin(&registry, Some(1)).await.unwrap_err(), busy);
    drop(all);
    begin(&registry, Some(1)).await.unwrap();

    // By default, as many as sixteen of the largest.
    let registry = builder(&MemoryCrateStore::new()).uploads(uploads(None)).build();
    let mut taken = Vec::new();
    for number in 0..16 {
        let length = (number % 2 == 0).then(|| rules.max_body_bytes());
        taken.push(begin(&registry, length).await.unwrap());
    }
    assert_eq!(begin(&registry, Some(1)).await.unwrap_err(), busy);
    taken.pop();
    begin(&registry, Some(1)).await.unwrap();

    let mut publish = begin(&registry, None).await.unwrap();
    publish.write(&publish_body("foo", "1.0.0")).await.unwrap();
    publish.finish().await.unwrap();
}
