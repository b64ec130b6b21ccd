//! Whatever is done to a stored file, nobody reads other bytes than were put.

use bytes::Bytes;
use encrypting_store::{EncryptedCrateStore, Secret};
use registry_core::{
    Checksum, CrateName, CrateStore, StoreError,
    memory::MemoryCrateStore,
    store::{ByteRange, CrateKey},
    version::parse_version,
};

const CHUNK: usize = 64 * 1024;
const SEALED: usize = CHUNK + 16;

fn secret(digits: &str) -> Secret {
    digits.repeat(32).parse().unwrap()
}

fn key(version: &str, bytes: &Bytes) -> CrateKey {
    CrateKey {
        name: CrateName::new("foo").unwrap(),
        version: parse_version(version).unwrap(),
        checksum: Checksum::of(bytes),
    }
}

/// Two chunks and a bit.
fn long() -> Bytes {
    (0..33_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into()
}

async fn raw(store: &MemoryCrateStore, key: &CrateKey) -> Vec<u8> {
    store.get(key, None).await.unwrap().unwrap().bytes().await.unwrap().into()
}

async fn read(
    store: &EncryptedCrateStore<MemoryCrateStore>,
    key: &CrateKey,
    range: Option<ByteRange>,
) -> Result<Bytes, StoreError> {
    store.get(key, range).await?.unwrap().bytes().await
}

#[tokio::test]
async fn what_is_stored_shows_nothing_of_the_file_and_is_the_same_each_time() {
    let inner = MemoryCrateStore::new();
    let store = EncryptedCrateStore::new(inner.clone(), secret("5e"));
    let bytes = Bytes::from(vec![0; 3 * CHUNK]);
    let (one, other) = (key("1.0.0", &bytes), key("1.0.1", &bytes));
    store.put(&one, bytes.clone().into()).await.unwrap();
    store.put(&other, bytes.clone().into()).await.unwrap();
    let stored = raw(&inner, &one).await;
    assert_eq!(stored.len(), 3 * SEALED);
    // Neither zeros nor the same for the same chunk, nor for the same file of another version.
    let pieces: std::collections::BTreeSet<_> = stored.chunks(16).collect();
    assert_eq!(pieces.len(), 3 * SEALED / 16);
    assert!(stored != raw(&inner, &other).await);
    store.put(&one, bytes.into()).await.unwrap();
    assert!(stored == raw(&inner, &one).await);
}

#[tokio::test]
async fn every_change_is_noticed() {
    let inner = MemoryCrateStore::new();
    let store = EncryptedCrateStore::new(inner.clone(), secret("5e"));
    let bytes = long();
    let key = key("1.0.0", &bytes);
    store.put(&key, bytes.clone().into()).await.unwrap();
    let stored = raw(&inner, &key).await;
    let other_version = self::key("1.0.1", &bytes);
    store.put(&other_version, bytes.clone().into()).await.unwrap();
    let of_other_version = raw(&inner, &other_version).await;

    let swapped = [&stored[SEALED..2 * SEALED], &stored[..SEALED], &stored[2 * SEALED..]].concat();
    let doubled = [&stored[..SEALED], &stored[..]].concat();
    let flipped = |at: usize| {
        let mut flipped = stored.clone();
        flipped[at] ^= 1;
        flipped
    };
    for (what, tampered) in [
        ("cut at a chunk", stored[..2 * SEALED].to_vec()),
        ("cut to one chunk", stored[..SEALED].to_vec()),
        ("cut in a chunk", stored[..SEALED + 100].to_vec()),
        ("cut to its tag", stored[..16].to_vec()),
        ("emptied", Vec::new()),
        ("swapped chunks", swapped),
        ("doubled a chunk", doubled),
        ("without the first chunk", stored[SEALED..].to_vec()),
        ("first byte", flipped(0)),
        ("tag of the first chunk", flipped(CHUNK)),
        ("middle", flipped(SEALED + 7)),
        ("last byte", flipped(stored.len() - 1)),
        ("another file", of_other_version),
        ("what was put", bytes.to_vec()),
    ] {
        inner.put(&key, Bytes::from(tampered).into()).await.unwrap();
        let error = read(&store, &key, None).await.unwrap_err();
        assert!(matches!(error, StoreError::Backend { .. }), "{what}: {error}");
        // The chunks that are left may be read, as what they were.
        if let Ok(part) = read(&store, &key, Some(ByteRange::FromTo(10, 19))).await {
            assert!(part == bytes[10..20], "{what}");
        }
    }
    inner.put(&key, Bytes::from(stored).into()).await.unwrap();
    assert!(read(&store, &key, None).await.unwrap() == bytes);
    let stranger = EncryptedCrateStore::new(inner, secret("5f"));
    read(&stranger, &key, None).await.unwrap_err();
}

#[tokio::test]
async fn an_empty_file_is_told_from_one_that_was_emptied() {
    let inner = MemoryCrateStore::new();
    let store = EncryptedCrateStore::new(inner.clone(), secret("5e"));
    let (nothing, something) = (Bytes::new(), long());
    let key = key("1.0.0", &something);
    let empty = self::key("1.0.0", &nothing);
    store.put(&empty, nothing.into()).await.unwrap();
    let sealed = raw(&inner, &empty).await;
    assert_eq!(sealed.len(), 16);
    inner.put(&key, Bytes::from(sealed).into()).await.unwrap();
    read(&store, &key, None).await.unwrap_err();
}

#[tokio::test]
async fn a_file_that_is_not_the_one_of_its_checksum_is_not_stored() {
    let inner = MemoryCrateStore::new();
    let store = EncryptedCrateStore::new(inner.clone(), secret("5e"));
    let key = key("1.0.0", &long());
    store.put(&key, Bytes::from("other").into()).await.unwrap_err();
    assert_eq!(inner.head(&key).await.unwrap(), None);
    assert_eq!(store.location(&key).await.unwrap(), None);
}
