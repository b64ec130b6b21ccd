use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::*;
use crate::{
    auth::{Caller, Principal},
    config::RegistryConfig,
    conformance::{fixture::publish_body, record_fixture::alice},
    entry::IndexLine,
    index::{ETag, Index, IndexError, IndexFile, Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    name::{CanonicalName, CrateName},
    record::{Change, CrateRecord},
    registry::{ImportError, PublishError, WriteError},
    store::{AsideReason, ByteRange, CrateFile, CrateUpkeep as _, StoredCrate, StoredCrates},
};

const MINUTE: u64 = 60;

/// What the time of a test goes by, and what happened in it.
#[derive(Debug, Default)]
struct Story {
    wall: AtomicU64,
    monotonic: AtomicU64,
    told: Mutex<Vec<&'static str>>,
    /// Minutes that each put, and each commit, takes: the first, the second, and so on.
    puts: Mutex<Vec<u64>>,
    commits: Mutex<Vec<(u64, Commit)>>,
}

#[derive(Clone, Copy, Debug)]
enum Commit {
    Done,
    Conflict,
    Unknown,
}

impl Story {
    fn pass(&self, minutes: u64) {
        self.wall.fetch_add(minutes * MINUTE, Relaxed);
        self.monotonic.fetch_add(minutes * MINUTE, Relaxed);
    }

    fn tell(&self, what: &'static str) {
        self.told.lock().unwrap().push(what);
    }

    fn told(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn clock(self: &Arc<Self>) -> Clock {
        let (story, start) = (self.clone(), Clock::default().now());
        Clock::new(move || Moment {
            wall: start.wall + Duration::from_secs(story.wall.load(Relaxed)),
            monotonic: start.monotonic + Duration::from_secs(story.monotonic.load(Relaxed)),
        })
    }
}

fn first<T>(plan: &Mutex<Vec<T>>) -> Option<T> {
    let mut plan = plan.lock().unwrap();
    (!plan.is_empty()).then(|| plan.remove(0))
}

#[derive(Debug)]
struct SlowStore(MemoryCrateStore, Arc<Story>);

#[async_trait::async_trait]
impl CrateStore for SlowStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.1.tell("put");
        self.1.pass(first(&self.1.puts).unwrap_or(0));
        self.0.put(key, file).await
    }
    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.1.tell("get");
        self.0.get(key, range).await
    }
    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.0.head(key).await
    }
    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.0.location(key).await
    }
    fn list(&self) -> StoredCrates<'_> {
        self.0.list()
    }
    async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }
}

#[derive(Debug)]
struct SlowIndex(MemoryIndex, Arc<Story>);

#[async_trait::async_trait]
impl Index for SlowIndex {
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
        self.0.load(name, known).await
    }
    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.1.tell("commit");
        let (minutes, commit) = first(&self.1.commits).unwrap_or((0, Commit::Done));
        self.1.pass(minutes);
        let name = next.name().canonical();
        match commit {
            Commit::Done => self.0.commit(expected, change, next).await,
            Commit::Conflict => Err(IndexError::Conflict { name }),
            Commit::Unknown => {
                self.0.commit(expected, change, next).await?;
                Err(IndexError::OutcomeUnknown { name, source: "lost".into() })
            }
        }
    }
    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: std::num::NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }
    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

/// A registry over slow backends, and the crates in it.
struct Slow {
    registry: Registry,
    story: Arc<Story>,
    crates: MemoryCrateStore,
}

impl Slow {
    fn new(puts: &[u64], commits: &[(u64, Commit)]) -> Self {
        let story = Arc::new(Story {
            puts: Mutex::new(puts.to_vec()),
            commits: Mutex::new(commits.to_vec()),
            ..Story::default()
        });
        let crates = MemoryCrateStore::new();
        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        let index = SlowIndex(MemoryIndex::new(), story.clone());
        let store = SlowStore(crates.clone(), story.clone());
        let registry = Registry::builder(config, index, store).clock(story.clock()).build();
        Self { registry, story, crates }
    }

    fn publish(&self) -> Result<(), PublishError> {
        let publish = async {
            let caller = Caller::from(Principal::from(alice()));
            let mut publish = self.registry.begin_publish(caller, None).await?;
            publish.write(&publish_body("foo", "1.0.0")).await?;
            publish.finish().await.map(drop)
        };
        publish.now_or_never().expect("nothing is waited for")
    }

    fn is_published(&self) -> bool {
        let names = self.registry.parts.index.names(None, std::num::NonZeroUsize::MIN);
        !names.now_or_never().unwrap().unwrap().is_empty()
    }
}

#[test]
fn a_file_is_stored_once_if_its_line_is_committed_soon() {
    let slow = Slow::new(&[10], &[(20, Commit::Done)]);
    slow.publish().unwrap();
    assert_eq!(slow.story.told(), ["put", "commit"]);
}

#[test]
fn a_file_that_became_old_is_stored_again_before_the_commit() {
    let slow = Slow::new(&[11], &[]);
    slow.publish().unwrap();
    assert_eq!(slow.story.told(), ["put", "put", "commit"]);
}

#[test]
fn each_attempt_to_commit_has_a_young_file() {
    let slow = Slow::new(&[], &[(6, Commit::Conflict), (6, Commit::Conflict), (5, Commit::Done)]);
    slow.publish().unwrap();
    assert_eq!(slow.story.told(), ["put", "commit", "commit", "put", "commit"]);
}

#[test]
fn a_file_that_became_too_old_in_the_commit_is_stored_again_after_it() {
    for commit in [Commit::Done, Commit::Unknown] {
        let slow = Slow::new(&[], &[(31, commit)]);
        slow.publish().unwrap();
        assert_eq!(slow.story.told(), ["put", "commit", "put"]);
        assert!(slow.is_published());
    }
}

#[test]
fn a_store_that_is_slow_is_asked_twice_and_no_more() {
    let slow = Slow::new(&[29, 30], &[]);
    slow.publish().unwrap();
    assert_eq!(slow.story.told(), ["put", "put", "commit"]);
}

#[test]
fn a_store_that_is_slower_than_files_may_be_old_gets_nothing_committed() {
    let slow = Slow::new(&[31, 31], &[]);
    let error = slow.publish().unwrap_err();
    let PublishError::Write(WriteError::Store(StoreError::Backend { source, .. })) = error else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "storing the files of one change took 1860 s, limit 1800");
    assert_eq!(slow.story.told(), ["put", "put"]);
    assert!(!slow.is_published());
}

#[test]
fn a_machine_that_slept_and_a_clock_that_was_set_back_hide_no_time() {
    let clocks: [fn(&Story) -> &AtomicU64; 2] = [|story| &story.wall, |story| &story.monotonic];
    for clock_that_goes_on in clocks {
        let story = Arc::new(Story::default());
        let clock = story.clock();
        let then = clock.now();
        clock_that_goes_on(&story).store(11 * MINUTE, Relaxed);
        assert_eq!(clock.since(then), Duration::from_secs(11 * MINUTE));
    }
    let story = Arc::new(Story::default());
    story.wall.store(60 * MINUTE, Relaxed);
    let clock = story.clock();
    let then = clock.now();
    story.wall.store(0, Relaxed);
    assert_eq!(clock.since(then), Duration::ZERO);
}

/// Brings three versions over, with so many minutes after each.
fn import(slow: &Slow, minutes: u64, before_finish: impl FnOnce()) -> Result<(), ImportError> {
    let import = async {
        let name = CrateName::new("foo").unwrap();
        let mut import = slow.registry.begin_import(name, alice()).await?;
        for version in ["1.0.0", "1.0.1", "1.0.2"] {
            let checksum = crate::checksum::Checksum::of(version.as_bytes());
            let line = format!(r#"{{"name":"foo","vers":"{version}","cksum":"{checksum}"}}"#);
            let line = IndexLine::parse(line.into()).unwrap();
            import.add(line, Some(Bytes::from(version).into())).await?;
            slow.story.pass(minutes);
        }
        before_finish();
        import.finish().await.map(drop)
    };
    import.now_or_never().expect("nothing is waited for")
}

#[test]
fn the_old_files_of_an_import_are_read_and_stored_again() {
    let slow = Slow::new(&[], &[]);
    import(&slow, 5, || ()).unwrap();
    assert_eq!(slow.story.told(), ["put", "put", "put", "get", "put", "commit"]);
    let verified = slow.registry.verify().now_or_never().unwrap().unwrap();
    assert!(matches!(verified[..], []));
}

#[test]
fn an_import_whose_file_is_gone_commits_nothing() {
    let slow = Slow::new(&[], &[]);
    let lose = || {
        let lost = async {
            let mut files = slow.crates.list();
            let key = futures_util::StreamExt::next(&mut files).await.unwrap().unwrap().key;
            slow.crates.set_aside(&key, AsideReason::Damaged).await.unwrap();
        };
        lost.now_or_never().unwrap();
    };
    let error = import(&slow, 20, lose).unwrap_err();
    let quarantined =
        matches!(error, ImportError::Write(WriteError::Store(StoreError::Quarantined { .. })));
    assert!(quarantined, "{error:?}");
    assert!(!slow.is_published());
}
