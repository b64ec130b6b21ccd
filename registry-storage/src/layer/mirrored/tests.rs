use std::sync::OnceLock;

use registry_core::{
    Checksum, CrateName,
    conformance::faulty::{Fault, Faults, FaultyCrateStore},
    memory::MemoryCrateStore,
    store::{AsideReason, CrateUpkeep as _},
    version::parse_version,
};

use super::*;

const BYTES: &str = "abcdefghij";

fn key_of(version: &str) -> CrateKey {
    CrateKey {
        name: CrateName::new("foo").unwrap(),
        version: parse_version(version).unwrap(),
        checksum: Checksum::of(BYTES),
    }
}

fn body() -> CrateBody {
    Bytes::from(BYTES).into()
}

/// A store whose files are cut off after so many bytes.
#[derive(Debug)]
struct Cut(MemoryCrateStore, usize);

#[async_trait]
impl CrateStore for Cut {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.0.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let Some(file) = self.0.get(key, range).await? else { return Ok(None) };
        let (size, range, modified) = (file.size, file.range.clone(), file.modified);
        let mut bytes = file.bytes().await?;
        bytes.truncate(self.1);
        let cut = Err(StoreError::failed("cut", "cut off"));
        // The bytes one by one, so that it is read on in the middle of many.
        let bytes: Vec<_> = bytes.chunks(1).map(|byte| Ok(Bytes::copy_from_slice(byte))).collect();
        let body = Box::pin(stream::iter(bytes.into_iter().chain([cut])));
        Ok(Some(CrateFile { size, range, modified, body }))
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

async fn read(store: &MirroredCrateStore, key: &CrateKey, range: Option<ByteRange>) -> Bytes {
    store.get(key, range).await.unwrap().unwrap().bytes().await.unwrap()
}

/// Two stores that fail when they are told to.
struct Pair {
    stores: [MemoryCrateStore; 2],
    faults: [Faults; 2],
    mirrored: MirroredCrateStore,
}

impl Pair {
    fn new() -> Self {
        let stores = [MemoryCrateStore::new(), MemoryCrateStore::new()];
        let faults = [Faults::none(), Faults::none()];
        let faulty = |i: usize| FaultyCrateStore::new(stores[i].clone(), faults[i].clone());
        let mirrored = MirroredCrateStore::new(faulty(0), faulty(1));
        Self { stores, faults, mirrored }
    }

    /// How often each of them was called since the last look.
    fn calls(&self) -> [usize; 2] {
        self.faults.each_ref().map(|faults| {
            let calls = faults.calls();
            faults.lift();
            calls
        })
    }
}

#[tokio::test]
async fn a_put_is_good_when_both_stores_have_the_file() {
    let (pair, key) = (Pair::new(), key_of("1.0.0"));
    for (failing, fault) in [(0, Fault::Before), (1, Fault::Before), (1, Fault::After)] {
        pair.faults[failing].arm(0, fault);
        pair.mirrored.put(&key, body()).await.unwrap_err();
        assert!(pair.stores[1 - failing].head(&key).await.unwrap().is_some());
    }
    pair.mirrored.put(&key, body()).await.unwrap();
    for store in &pair.stores {
        assert_eq!(store.get(&key, None).await.unwrap().unwrap().bytes().await.unwrap(), BYTES);
    }
    assert_eq!(pair.mirrored.location(&key).await.unwrap(), None);
    for failing in [0, 1] {
        pair.faults[failing].arm(0, Fault::Before);
        pair.mirrored.ready().await.unwrap_err();
    }
    pair.mirrored.ready().await.unwrap();
}

#[tokio::test]
async fn what_one_store_lacks_is_read_from_the_other() {
    let (pair, key) = (Pair::new(), key_of("1.0.0"));
    for (missing, calls) in [(0, [2, 2]), (1, [2, 0])] {
        let having = &pair.stores[1 - missing];
        having.put(&key, body()).await.unwrap();
        assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
        assert_eq!(pair.mirrored.head(&key).await.unwrap().unwrap().size, 10);
        assert_eq!(pair.calls(), calls);
        let aside = having.set_aside(&key, AsideReason::Damaged).await;
        aside.unwrap();
    }
    // Each has a damaged copy now.
    let error = pair.mirrored.get(&key, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Quarantined { .. }), "{error}");
    assert_eq!(pair.calls(), [1, 1]);
    pair.stores[1].put(&key, body()).await.unwrap();
    assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
    // That was about one file, and not about the first store.
    assert_eq!(pair.mirrored.head(&key_of("1.0.1")).await.unwrap(), None);
    assert_eq!(pair.calls(), [2, 2]);
}

#[tokio::test]
async fn a_file_is_absent_only_if_both_say_so() {
    let (pair, key) = (Pair::new(), key_of("1.0.0"));
    assert!(pair.mirrored.get(&key, None).await.unwrap().is_none());
    assert_eq!(pair.mirrored.head(&key).await.unwrap(), None);
    for failing in [1, 0] {
        pair.faults[failing].arm(0, Fault::Before);
        pair.mirrored.get(&key, None).await.unwrap_err();
        pair.faults[failing].lift();
    }
}

/// Each test has a thread, and so a clock, of its own.
fn clock() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + PASSED.get()
}

thread_local! {
    static PASSED: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

#[tokio::test]
async fn a_store_that_has_failed_is_asked_second_for_a_while() {
    let (mut pair, key) = (Pair::new(), key_of("1.0.0"));
    pair.mirrored.health.now = clock;
    pair.mirrored.put(&key, body()).await.unwrap();
    assert_eq!(pair.calls(), [1, 1]);

    pair.faults[0].arm(0, Fault::Before);
    assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
    assert_eq!(pair.calls(), [1, 1]);
    PASSED.set(REST - Duration::from_millis(1));
    assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
    assert_eq!(pair.calls(), [0, 1]);
    // It is asked if need be.
    pair.faults[1].arm(0, Fault::Before);
    assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
    assert_eq!(pair.calls(), [1, 1]);
    PASSED.set(REST);
    assert_eq!(read(&pair.mirrored, &key, None).await, BYTES);
    assert_eq!(pair.calls(), [1, 0]);
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_read_on_from_the_other_store() {
    let (key, good) = (key_of("1.0.0"), MemoryCrateStore::new());
    for cut in 0..=BYTES.len() {
        let cut_store = Cut(MemoryCrateStore::new(), cut);
        let mut mirrored = MirroredCrateStore::new(cut_store, good.clone());
        mirrored.put(&key, body()).await.unwrap();
        assert_eq!(read(&mirrored, &key, None).await, BYTES, "{cut}");
        // From the second on, which now goes first.
        assert_eq!(read(&mirrored, &key, Some(ByteRange::Last(4))).await, "ghij");
        mirrored.health.first_failed = Arc::default();
        let part = read(&mirrored, &key, Some(ByteRange::FromTo(2, 7))).await;
        assert_eq!(part, "cdefgh", "{cut}");
    }
}

#[tokio::test]
async fn a_file_that_both_stores_cut_off_ends_with_an_error() {
    let key = key_of("1.0.0");
    let cut = |after| Cut(MemoryCrateStore::new(), after);
    for (cuts, read) in [((3, 4), 7), ((0, 0), 0), ((4, 0), 4)] {
        let mirrored = MirroredCrateStore::new(cut(cuts.0), cut(cuts.1));
        mirrored.put(&key, body()).await.unwrap();
        let mut file = mirrored.get(&key, None).await.unwrap().unwrap();
        for byte in BYTES.as_bytes().iter().take(read) {
            assert_eq!(file.next_chunk().await.unwrap().unwrap(), [*byte][..]);
        }
        file.next_chunk().await.unwrap().unwrap_err();
    }
    // One that the second does not have at all.
    let first = cut(3);
    first.put(&key, body()).await.unwrap();
    let mirrored = MirroredCrateStore::new(first, MemoryCrateStore::new());
    mirrored.get(&key, None).await.unwrap().unwrap().bytes().await.unwrap_err();
}

#[tokio::test]
async fn a_listing_shows_what_either_store_has_once() {
    let pair = Pair::new();
    let [both, first, second] = ["1.0.0", "1.0.1", "1.0.2"].map(key_of);
    pair.mirrored.put(&both, body()).await.unwrap();
    pair.stores[0].put(&first, body()).await.unwrap();
    pair.stores[1].put(&second, body()).await.unwrap();
    let listed: Vec<_> =
        pair.mirrored.list().map_ok(|stored| stored.key).try_collect().await.unwrap();
    assert_eq!(listed, [both, first, second]);
    // Half a listing is none.
    for failing in [0, 1] {
        pair.faults[failing].arm(0, Fault::Before);
        pair.mirrored.list().try_collect::<Vec<_>>().await.unwrap_err();
    }
}
