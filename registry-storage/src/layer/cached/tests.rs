use std::{
    cell::Cell,
    sync::{Mutex, OnceLock},
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _, future::BoxFuture};
use registry_core::{CrateName, version::parse_version};
use tempfile::TempDir;
use tokio::sync::oneshot;

use self::distant::{Distant, Plan, begin};
use super::*;

mod distant;
mod losses;

const BYTES: &str = "abcdefghij";
const ROOM: u64 = 1 << 20;
const NONE: [u64; 0] = [];

thread_local! {
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Each test has a thread, and so a clock, of its own.
fn clock() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + PASSED.get()
}

struct Stage {
    folder: TempDir,
    inner: Distant,
    store: CachedCrateStore<Distant>,
    reports: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::over(folder, Distant::default(), max_bytes)
    }

    fn over(folder: TempDir, inner: Distant, max_bytes: u64) -> Self {
        let reports: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = reports.clone();
        let report = move |error: &CacheError| told.lock().unwrap().push(error.to_string());
        let store = CachedCrateStore::open(inner.clone(), folder.path(), max_bytes, report);
        let store = CachedCrateStore { now: clock, ..store.unwrap() };
        Self { folder, inner, store, reports }
    }

    /// As a new process finds it.
    fn restart(self, max_bytes: u64) -> Self {
        let Self { folder, inner, store, .. } = self;
        drop(store);
        Self::over(folder, inner, max_bytes)
    }

    async fn put(&self, version: &str, bytes: &'static str) -> CrateKey {
        let key = CrateKey {
            name: CrateName::new("foo").unwrap(),
            version: parse_version(version).unwrap(),
            checksum: Checksum::of(bytes),
        };
        self.store.put(&key, Bytes::from(bytes).into()).await.unwrap();
        key
    }

    async fn one(&self) -> CrateKey {
        self.put("1.0.0", BYTES).await
    }

    async fn read(&self, key: &CrateKey) -> Bytes {
        self.store.get(key, None).await.unwrap().unwrap().bytes().await.unwrap()
    }

    /// Begins to read; polled for the first time by [`begin`].
    fn reading(&self, key: &CrateKey) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        let (store, key) = (self.store.clone(), key.clone());
        async move {
            match store.get(&key, None).await? {
                Some(file) => file.bytes().await.map(Some),
                None => Ok(None),
            }
        }
        .boxed()
    }

    /// How many bytes each file in the cache has, those being written included.
    fn files(&self) -> Vec<u64> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                // One that is removed meanwhile is none.
                let inside = fs::read_dir(entry.path()).unwrap();
                files.extend(inside.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())));
            } else if entry.file_name() != "lock" {
                files.extend(entry.metadata().ok().map(|file| file.len()));
            }
        }
        files.sort_unstable();
        files
    }

    /// The place of a file that is kept.
    fn place(&self, key: &CrateKey) -> PathBuf {
        let kept = self.store.cache.shelf.kept(Id::of(key), clock(), Duration::MAX).unwrap();
        self.store.cache.disk.place(Id::of(key), kept.put_at)
    }

    fn reports(&self) -> Vec<String> {
        std::mem::take(&mut *self.reports.lock().unwrap())
    }

    fn report(&self) -> String {
        format!("crate files cannot be cached in `{}`", self.folder.path().display())
    }
}

#[tokio::test]
async fn a_file_is_read_from_the_inner_store_once() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let put_at = stage.inner.head(&key).await.unwrap().unwrap().modified;
    for _ in 0..3 {
        let file = stage.store.get(&key, None).await.unwrap().unwrap();
        assert_eq!((file.size, file.range.clone(), file.modified), (10, 0..10, put_at));
        assert_eq!(file.bytes().await.unwrap(), BYTES);
    }
    assert_eq!(stage.inner.gets(), [None]);
    assert_eq!(stage.files(), [10]);
    let other = stage.put("1.0.0", "").await;
    assert_eq!(stage.read(&other).await, "");
    assert_eq!(stage.read(&other).await, "");
    assert_eq!(stage.inner.gets(), [None]);
    assert_eq!(stage.store.location(&key).await.unwrap().unwrap(), "https://example.com");
    assert_eq!(stage.reports(), [""; 0]);
}

#[tokio::test]
async fn the_meter_is_told_which_reads_asked() {
    let mut stage = Stage::new(ROOM);
    let told: Arc<Mutex<Vec<CacheRead>>> = Arc::default();
    let meter = told.clone();
    stage.store = stage.store.with_meter(move |read| meter.lock().unwrap().push(read));
    let key = stage.one().await;
    let part = Some(ByteRange::From(4));
    // A part of what is not kept is not kept either.
    stage.store.get(&key, part).await.unwrap().unwrap().bytes().await.unwrap();
    stage.read(&key).await;
    stage.read(&key).await;
    stage.store.get(&key, part).await.unwrap().unwrap().bytes().await.unwrap();
    let expected = [CacheRead::Miss, CacheRead::Miss, CacheRead::Hit, CacheRead::Hit];
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(stage.inner.gets(), [part, None]);
}

#[tokio::test]
async fn many_readers_at_one_time_are_one_read_of_the_inner_store() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let release = stage.inner.hold();
    let mut readers: Vec<_> = (0..8).map(|_| stage.reading(&key)).collect();
    readers.iter_mut().for_each(begin);
    release.send(()).unwrap();
    for read in futures_util::future::join_all(readers).await {
        assert_eq!(read.unwrap().unwrap(), BYTES);
    }
    assert_eq!(stage.inner.gets(), [None]);
}

#[tokio::test]
async fn readers_read_along_but_for_the_last_byte() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let pieces = stage.inner.send_body();
    let mut first = stage.store.get(&key, None).await.unwrap().unwrap();
    pieces.send(Ok("abc".into())).unwrap();
    assert_eq!(first.next_chunk().await.unwrap().unwrap(), "abc");
    let mut second = stage.store.get(&key, None).await.unwrap().unwrap();
    assert_eq!(second.next_chunk().await.unwrap().unwrap(), "abc");
    pieces.send(Ok("defghij".into())).unwrap();
    assert_eq!(first.next_chunk().await.unwrap().unwrap(), "defghi");
    let mut last = Box::pin(first.next_chunk());
    begin(&mut last);
    drop(pieces);
    assert_eq!(last.await.unwrap().unwrap(), "j");
    assert!(first.next_chunk().await.is_none());
    assert_eq!(second.bytes().await.unwrap(), "defghij");
    assert_eq!(stage.inner.gets(), [None]);
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.gets(), []);
}

#[tokio::test]
async fn if_the_one_who_asks_leaves_another_takes_over() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let _never = stage.inner.hold();
    let mut readers: Vec<_> = (0..4).map(|_| stage.reading(&key)).collect();
    readers.iter_mut().for_each(begin);
    drop(readers.remove(0));
    for read in futures_util::future::join_all(readers).await {
        assert_eq!(read.unwrap().unwrap(), BYTES);
    }
    assert_eq!(stage.inner.gets(), [None, None]);
}

#[tokio::test]
async fn a_failure_is_the_answer_only_to_those_who_came_before_the_question() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    for second_fails in [false, true] {
        let [first, second] = [true, second_fails].map(|fails| {
            let (release, held) = oneshot::channel();
            let plan = if fails { Plan::HoldAndFail(held) } else { Plan::Hold(held) };
            stage.inner.plan(plan);
            release
        });
        let mut readers: Vec<_> = (0..5).map(|_| stage.reading(&key)).collect();
        readers.iter_mut().for_each(begin);
        first.send(()).unwrap();
        readers.remove(0).await.unwrap_err();
        // One of them asks again, and the others wait for the answer.
        readers.iter_mut().for_each(begin);
        second.send(()).unwrap();
        for read in futures_util::future::join_all(readers).await {
            match second_fails {
                false => assert_eq!(read.unwrap().unwrap(), BYTES),
                true => assert_eq!(
                    causes(&read.unwrap_err()),
                    ["crate store distant failed", "not today"]
                ),
            }
        }
        assert_eq!(stage.inner.gets(), [None, None], "{second_fails}");
        stage.store.cache.forget(Id::of(&key));
    }
}

fn causes(error: &StoreError) -> Vec<String> {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source()).map(|e| e.to_string()).collect()
}

#[tokio::test]
async fn a_file_is_absent_only_to_those_who_came_before_the_question() {
    let stage = Stage::new(ROOM);
    let key = CrateKey { checksum: Checksum::of(BYTES), ..stage.put("1.0.0", "other").await };
    let release = stage.inner.hold();
    let mut first = stage.reading(&key);
    begin(&mut first);
    // Published and heard of before the next reader comes.
    assert_eq!(stage.one().await, key);
    let mut second = stage.reading(&key);
    begin(&mut second);
    release.send(()).unwrap();
    let (first, second) = futures_util::future::join(first, second).await;
    assert_eq!(first.unwrap(), None);
    assert_eq!(second.unwrap().unwrap(), BYTES);
    assert_eq!(stage.inner.gets(), [None, None]);
}

#[tokio::test]
async fn a_reader_reads_on_by_himself_where_the_inner_store_fails() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let pieces = stage.inner.send_body();
    let mut ahead = stage.store.get(&key, None).await.unwrap().unwrap();
    let behind = stage.store.get(&key, None).await.unwrap().unwrap();
    pieces.send(Ok("abc".into())).unwrap();
    assert_eq!(ahead.next_chunk().await.unwrap().unwrap(), "abc");
    pieces.send(Err(StoreError::failed("distant", "cut"))).unwrap();
    assert_eq!(ahead.bytes().await.unwrap(), "defghij");
    assert_eq!(behind.bytes().await.unwrap(), BYTES);
    assert_eq!(stage.inner.gets(), [None, Some(ByteRange::From(3)), None]);
    assert_eq!(stage.files(), NONE);
    assert_eq!(stage.reports(), [""; 0]);
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.files(), [10]);
}

#[tokio::test]
async fn a_reader_who_reads_on_by_himself_gets_no_damaged_file_either() {
    for (rest, read) in [("abcdefghiX", "abc"), ("abcdefghij", BYTES)] {
        let stage = Stage::new(ROOM);
        let key = stage.one().await;
        stage.inner.put(&key, Bytes::from(rest).into()).await.unwrap();
        let pieces = stage.inner.send_body();
        let mut file = stage.store.get(&key, None).await.unwrap().unwrap();
        pieces.send(Ok("abc".into())).unwrap();
        let mut bytes = file.next_chunk().await.unwrap().unwrap().to_vec();
        pieces.send(Err(StoreError::failed("distant", "cut"))).unwrap();
        let error = loop {
            match file.next_chunk().await {
                None => break None,
                Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                Some(Err(error)) => break Some(causes(&error)),
            }
        };
        assert_eq!(bytes, read.as_bytes());
        let damaged = ["crate store cache failed", "the file is not the one of its checksum"];
        assert_eq!(error, (read != BYTES).then(|| damaged.map(str::to_owned).to_vec()));
    }
}

#[tokio::test]
async fn a_damaged_file_ends_with_an_error_before_its_last_byte_and_is_not_kept() {
    for (damaged, read) in [("abcdefghiX", "abcdefghi"), ("abc", "abc"), ("abcdefghijk", "")] {
        let stage = Stage::new(ROOM);
        let key = stage.one().await;
        let pieces = stage.inner.send_body();
        let mut file = stage.store.get(&key, None).await.unwrap().unwrap();
        pieces.send(Ok(damaged.into())).unwrap();
        drop(pieces);
        let mut bytes = Vec::new();
        let error = loop {
            match file.next_chunk().await.expect("it does not end well") {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) => break error,
            }
        };
        assert_eq!(
            causes(&error),
            ["crate store cache failed", "the file is not the one of its checksum"]
        );
        // Whether a reader was quick enough to have any of it is open.
        assert!(read.as_bytes().starts_with(&bytes), "{bytes:?}");
        assert_eq!(stage.files(), NONE);
        assert_eq!(stage.read(&key).await, BYTES);
        assert_eq!(stage.inner.gets(), [None, None]);
    }
}

#[tokio::test]
async fn a_file_that_nobody_reads_any_more_is_not_written_to_its_end() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let pieces = stage.inner.send_body();
    let mut file = stage.store.get(&key, None).await.unwrap().unwrap();
    pieces.send(Ok("abc".into())).unwrap();
    file.next_chunk().await.unwrap().unwrap();
    assert_eq!(stage.files(), [3]);
    drop(file);
    pieces.send(Ok("def".into())).unwrap();
    pieces.closed().await;
    // The task has dropped the body of the inner store, and the rest soon after.
    while !stage.files().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.gets(), [None, None]);
}

#[tokio::test]
async fn the_least_recently_used_goes_first_and_its_readers_read_on() {
    // For three files of one block each.
    let stage = Stage::new(3 * 4096 + 4095);
    let mut keys = Vec::new();
    for (version, bytes) in [("1.0.0", "a"), ("1.0.1", "b"), ("1.0.2", "c"), ("1.0.3", "d")] {
        keys.push(stage.put(version, bytes).await);
    }
    for key in &keys[..3] {
        stage.read(key).await;
    }
    stage.read(&keys[0]).await;
    let opened = stage.store.get(&keys[1], None).await.unwrap().unwrap();
    stage.read(&keys[0]).await;
    stage.read(&keys[2]).await;
    assert_eq!(stage.inner.gets(), [None; 3]);
    stage.read(&keys[3]).await;
    assert_eq!(opened.bytes().await.unwrap(), "b");
    assert_eq!(stage.files(), [1, 1, 1]);
    assert_eq!(stage.inner.gets(), [None]);
    for key in [&keys[0], &keys[2], &keys[3]] {
        stage.read(key).await;
    }
    assert_eq!(stage.inner.gets(), []);
    stage.read(&keys[1]).await;
    assert_eq!(stage.inner.gets(), [None]);
    assert_eq!(stage.reports(), [""; 0]);
}

#[tokio::test]
async fn what_has_no_room_is_passed_through() {
    let stage = Stage::new(4095);
    let key = stage.one().await;
    let release = stage.inner.hold();
    let mut readers: Vec<_> = (0..3).map(|_| stage.reading(&key)).collect();
    readers.iter_mut().for_each(begin);
    release.send(()).unwrap();
    for read in futures_util::future::join_all(readers).await {
        assert_eq!(read.unwrap().unwrap(), BYTES);
    }
    // Each his own, and none twice.
    assert_eq!(stage.inner.gets(), [None; 3]);
    assert_eq!(stage.files(), NONE);

    // Nor is there any while another file is being written.
    let stage = Stage::new(4096);
    let (one, other) = (stage.one().await, stage.put("1.0.1", "other").await);
    let pieces = stage.inner.send_body();
    let opened = stage.store.get(&one, None).await.unwrap().unwrap();
    assert_eq!(stage.read(&other).await, "other");
    assert_eq!(stage.inner.gets(), [None, None]);
    pieces.send(Ok(BYTES.into())).unwrap();
    drop(pieces);
    assert_eq!(opened.bytes().await.unwrap(), BYTES);
    assert_eq!(stage.read(&other).await, "other");
    assert_eq!(stage.files(), [5]);
}

#[tokio::test]
async fn a_part_is_read_from_the_cache_if_the_whole_is_there() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let part = async |range| {
        let file = stage.store.get(&key, Some(range)).await.unwrap().unwrap();
        (file.size, file.range.clone(), file.bytes().await.unwrap())
    };
    let ranges = [
        (ByteRange::FromTo(2, 4), 2..5, "cde"),
        (ByteRange::Last(3), 7..10, "hij"),
        (ByteRange::From(10), 10..10, ""),
    ];
    for (range, within, bytes) in ranges.clone() {
        assert_eq!(part(range).await, (10, within, bytes.into()));
    }
    assert_eq!(stage.inner.gets(), ranges.clone().map(|(range, ..)| Some(range)));
    stage.read(&key).await;
    assert_eq!(stage.inner.gets(), [None]);
    for (range, within, bytes) in ranges {
        assert_eq!(part(range).await, (10, within, bytes.into()));
    }
    assert_eq!(stage.inner.gets(), []);
}

#[tokio::test]
async fn what_an_earlier_process_has_left_is_confirmed_and_hashed_once() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    stage.read(&key).await;
    fs::write(stage.folder.path().join("staged-7"), "half of").unwrap();
    let stage = stage.restart(ROOM);
    assert_eq!(stage.files(), [10]);
    assert_eq!((stage.inner.gets(), stage.inner.heads()), (vec![None], 0));
    for heads in [1, 0] {
        assert_eq!(stage.read(&key).await, BYTES);
        assert_eq!((stage.inner.gets(), stage.inner.heads()), (vec![], heads));
    }

    for damage in ["abcdefghiX", "abcdefghi", "abcdefghijk"] {
        let stage = Stage::new(ROOM);
        let key = stage.one().await;
        stage.read(&key).await;
        let place = stage.place(&key);
        fs::write(&place, damage).unwrap();
        let stage = stage.restart(ROOM);
        assert_eq!(stage.read(&key).await, BYTES, "{damage}");
        assert_eq!(stage.inner.gets(), [None, None]);
        // One of another length is not even looked at: the inner store says so.
        let reports = if damage.len() == 10 { vec![stage.report()] } else { Vec::new() };
        assert_eq!(stage.reports(), reports);
        assert_eq!(fs::read(&place).unwrap(), BYTES.as_bytes());

        fs::write(&place, "cut").unwrap();
        assert_eq!(stage.read(&key).await, BYTES);
        assert_eq!(stage.reports(), [stage.report()]);
        assert_eq!(stage.inner.gets(), [None]);
    }
}

#[tokio::test]
async fn a_smaller_cache_keeps_what_was_written_last() {
    let stage = Stage::new(ROOM);
    let mut keys = Vec::new();
    for (age, version) in [(3, "1.0.0"), (1, "1.0.1"), (2, "1.0.2")] {
        let key = stage.put(version, BYTES).await;
        stage.read(&key).await;
        let file = File::options().write(true).open(stage.place(&key)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        keys.push(key);
    }
    stage.inner.gets();
    let stage = stage.restart(2 * 4096);
    assert_eq!(stage.files(), [10, 10]);
    for key in [&keys[1], &keys[2]] {
        stage.read(key).await;
    }
    assert_eq!(stage.inner.gets(), []);
    assert_eq!(stage.restart(0).files(), NONE);
}
