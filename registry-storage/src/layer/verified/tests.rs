use std::sync::Mutex;

use futures_util::TryStreamExt as _;
use registry_core::{CrateName, memory::MemoryCrateStore, store::AsideReason};

use super::*;

fn key(content: &str) -> CrateKey {
    let (name, version) = (CrateName::new("foo").unwrap(), "1.0.0".parse().unwrap());
    CrateKey { name, version, checksum: Checksum::of(content) }
}

/// What was reported.
type Reports = Arc<Mutex<Vec<(CrateKey, Checksum, String)>>>;

fn verified<S>(inner: S) -> (VerifiedCrateStore<S>, Reports) {
    let reports = Reports::default();
    let seen = reports.clone();
    let store = VerifiedCrateStore::new(inner, move |damaged| {
        let consequence = format!("{:?}", damaged.consequence);
        seen.lock().unwrap().push((damaged.key.clone(), damaged.found, consequence));
    });
    (store, reports)
}

/// All that a reader gets, and the error at the end if there is one.
async fn read(store: &impl CrateStore, key: &CrateKey) -> (String, Result<(), StoreError>) {
    let mut file = store.get(key, None).await.unwrap().unwrap();
    let mut read = Vec::new();
    loop {
        match file.next_chunk().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            Some(Err(error)) => return (String::from_utf8(read).unwrap(), Err(error)),
            None => return (String::from_utf8(read).unwrap(), Ok(())),
        }
    }
}

/// A file in these pieces, whatever its key is.
#[derive(Debug)]
struct InPieces(&'static [&'static str]);

#[async_trait]
impl CrateStore for InPieces {
    async fn put(&self, _: &CrateKey, _: CrateBody) -> Result<(), StoreError> {
        Ok(())
    }

    async fn get(
        &self,
        _: &CrateKey,
        _: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let size = self.0.concat().len() as u64;
        let pieces = self.0.iter().map(|piece| Ok(Bytes::from(*piece)));
        let body = Box::pin(futures_util::stream::iter(pieces));
        let modified = std::time::SystemTime::UNIX_EPOCH;
        Ok(Some(CrateFile { size, range: 0..size, modified, body }))
    }

    async fn head(&self, _: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        Ok(None)
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(Some("https://cdn.example.com/foo".into()))
    }

    fn list(&self) -> StoredCrates<'_> {
        Box::pin(futures_util::stream::empty())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_damaged_file_ends_before_its_last_piece() {
    for (pieces, got) in [
        (&["abc"] as &[_], ""),
        (&["ab", "c"], "ab"),
        (&["ab", "c", "", ""], "ab"),
        (&["", "a", "", "b", "c"], "ab"),
        (&[], ""),
    ] {
        let (store, reports) = verified(InPieces(pieces));
        let whole = pieces.concat();
        let right = read(&store, &key(&whole)).await;
        assert!(matches!(&right, (read, Ok(())) if *read == whole), "{pieces:?}: {right:?}");
        assert_eq!(*reports.lock().unwrap(), []);
        let other = key("other");
        let wrong = read(&store, &other).await;
        let failed = matches!(&wrong.1, Err(StoreError::Backend { backend: "verified", .. }));
        assert!(failed && wrong.0 == got, "{pieces:?}: {wrong:?}");
        let report = (other, Checksum::of(&whole), "Nothing".to_owned());
        assert_eq!(*reports.lock().unwrap(), [report]);
    }
}

#[tokio::test]
async fn a_url_past_the_check_is_not_handed_out() {
    let (store, _) = verified(InPieces(&["abc"]));
    assert_eq!(store.location(&key("abc")).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_then_refused() {
    let inner = MemoryCrateStore::new();
    let (store, reports) = verified(inner.clone());
    let store = store.with_quarantine(inner.clone());
    let good = key("good");
    inner.put(&good, Bytes::from("evil").into()).await.unwrap();
    let (got, end) = read(&store, &good).await;
    assert_eq!(got, "");
    assert!(matches!(end, Err(StoreError::Quarantined { key }) if *key == good));
    let report = (good.clone(), Checksum::of("evil"), "PutAside".to_owned());
    assert_eq!(*reports.lock().unwrap(), [report]);
    let aside: Vec<_> = inner.list_aside().try_collect().await.unwrap();
    let told: Vec<_> = aside.iter().map(|entry| (&entry.key, entry.reason)).collect();
    assert_eq!(told, [(&good, AsideReason::Damaged)]);
    assert!(matches!(store.get(&good, None).await, Err(StoreError::Quarantined { .. })));
}

#[tokio::test]
async fn a_file_that_was_damaged_on_its_way_stays() {
    let beneath = MemoryCrateStore::new();
    let good = key("good");
    beneath.put(&good, Bytes::from("good").into()).await.unwrap();
    let (store, reports) = verified(InPieces(&["evil"]));
    let store = store.with_quarantine(beneath.clone());
    let (_, end) = read(&store, &good).await;
    assert!(matches!(end, Err(StoreError::Backend { backend: "verified", .. })));
    assert_eq!(reports.lock().unwrap()[0].2, "WholeNow");
    assert!(beneath.list_aside().try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_part_of_a_file_is_passed_on_and_a_part_that_is_all_of_it_is_not() {
    let inner = MemoryCrateStore::new();
    let (store, reports) = verified(inner.clone());
    let good = key("good");
    inner.put(&good, Bytes::from("evil").into()).await.unwrap();
    let part = async |range| {
        let file = store.get(&good, Some(range)).await.unwrap().unwrap();
        file.bytes().await
    };
    assert_eq!(part(ByteRange::From(1)).await.unwrap(), "vil");
    assert_eq!(*reports.lock().unwrap(), []);
    assert!(part(ByteRange::From(0)).await.is_err());
    assert_eq!(reports.lock().unwrap().len(), 1);
}
