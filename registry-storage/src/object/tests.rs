#[cfg(feature = "fs")]
use registry_core::store::{AsideReason, CrateUpkeep as _};
use registry_core::{CrateName, version::parse_version};

use super::*;

const CHECKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn key(name: &str, version: &str) -> CrateKey {
    CrateKey {
        name: CrateName::new(name).unwrap(),
        version: parse_version(version).unwrap(),
        checksum: CHECKSUM.parse().unwrap(),
    }
}

async fn put(store: &ObjectCrateStore, name: &str, version: &str) -> CrateKey {
    let key = key(name, version);
    store.put(&key, Bytes::from("abc").into()).await.unwrap();
    key
}

async fn list(store: &ObjectCrateStore) -> Vec<(CrateKey, u64)> {
    let listed: Vec<_> = store.list().try_collect().await.unwrap();
    listed.into_iter().map(|stored| (stored.key, stored.size)).collect()
}

#[tokio::test]
async fn what_is_not_ours_is_not_listed() {
    let store = ObjectCrateStore::memory();
    let key = put(&store, "b", "1.0.0").await;
    let probe = Path::from("1/b/README");
    store.store.put(&probe, PutPayload::from_static(b"not ours")).await.unwrap();
    store.ready().await.unwrap();
    assert_eq!(list(&store).await, [(key, 3)]);
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_file_is_for_its_owner_and_nothing_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/crates");
    let store = ObjectCrateStore::filesystem(&path).unwrap();
    let key = put(&store, "serde", "1.0.0").await;
    put(&store, "serde", "1.0.0").await;
    let files: Vec<_> = std::fs::read_dir(path.join("se/rd/serde"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, [format!("1.0.0-{CHECKSUM}.crate")]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for path in [folder.path().join("a"), path.clone()] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{path:?}");
        }
    }
    let store = ObjectCrateStore::filesystem(&path).unwrap();
    let file = store.get(&key, None).await.unwrap().unwrap();
    assert_eq!(file.size, 3);
    assert_eq!(file.bytes().await.unwrap(), "abc");
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_file_that_is_being_written_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = ObjectCrateStore::filesystem(folder.path()).unwrap();
    let key = put(&store, "serde", "1.0.0").await;
    let staged = folder.path().join(format!("{}#1", path_of(&key)));
    std::fs::write(&staged, "ab").unwrap();
    put(&store, "serde", "1.0.0").await;
    assert_eq!(list(&store).await, [(key, 3)]);
    assert!(staged.exists());
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn what_a_crash_left_is_removed_while_the_store_is_in_use() {
    use std::time::{Duration, Instant, SystemTime};
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("se/rd/serde");
    std::fs::create_dir_all(&below).unwrap();
    let [old, young] = ["1.0.0.crate#1", "1.0.0.crate#2"].map(|name| below.join(name));
    let file = std::fs::File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).unwrap();
    std::fs::write(&young, "").unwrap();
    let store = ObjectCrateStore::filesystem(folder.path()).unwrap();
    let key = put(&store, "serde", "1.0.0").await;
    let began = Instant::now();
    while old.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "it is still there");
        tokio::task::yield_now().await;
    }
    assert!(young.exists());
    assert_eq!(list(&store).await, [(key, 3)]);
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_file_that_is_aside_lies_below_its_path_and_its_folders_go_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = ObjectCrateStore::filesystem(folder.path()).unwrap();
    let key = put(&store, "serde", "1.0.0").await;
    store.set_aside(&key, AsideReason::Damaged).await.unwrap();
    let below = folder.path().join(format!("aside/se/rd/serde/1.0.0-{CHECKSUM}.crate"));
    let entries: Vec<_> = store.list_aside().try_collect().await.unwrap();
    #[cfg(unix)]
    for path in below.ancestors().take_while(|path| *path != folder.path()) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{path:?}");
    }
    let names: Vec<_> = std::fs::read_dir(&below)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(entries.iter().map(|entry| &*entry.id).collect::<Vec<_>>(), names);
    // Of others, and so neither listed nor in the way.
    std::fs::write(below.join("README"), "not ours").unwrap();
    assert_eq!(store.list_aside().try_collect::<Vec<_>>().await.unwrap(), entries);
    std::fs::remove_file(below.join("README")).unwrap();
    store.purge(&entries[0]).await.unwrap();
    assert!(!folder.path().join("aside").exists());
    assert!(store.get(&key, None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_of_another_length_ends_with_an_error() {
    let read = async |size, chunks: &'static [&'static str]| {
        let chunks = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk)));
        let chunks = futures_util::stream::iter(chunks);
        let body = Box::pin(WholeFile { backend: "x", missing: size, chunks });
        CrateFile { size, range: 0..size, modified: std::time::SystemTime::UNIX_EPOCH, body }
            .bytes()
            .await
    };
    assert_eq!(read(3, &["ab", "", "c"]).await.unwrap(), "abc");
    assert_eq!(read(0, &[]).await.unwrap(), "");
    assert!(matches!(read(4, &["ab", "c"]).await, Err(StoreError::Backend { .. })));
    assert!(matches!(read(2, &["ab", "c"]).await, Err(StoreError::Backend { .. })));
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn nothing_is_known_of_a_folder_that_is_gone_and_nothing_is_made_in_its_stead() {
    let root = tempfile::tempdir().unwrap();
    let [path, elsewhere] = ["crates", "elsewhere"].map(|name| root.path().join(name));
    let store = ObjectCrateStore::filesystem(&path).unwrap();
    let key = put(&store, "serde", "1.0.0").await;
    let aside = put(&store, "serde", "1.1.0").await;
    store.set_aside(&aside, AsideReason::Unnamed).await.unwrap();
    let entry = store.list_aside().try_next().await.unwrap().unwrap();
    std::fs::rename(&path, &elsewhere).unwrap();
    for error in [
        store.set_aside(&key, AsideReason::Unnamed).await.unwrap_err(),
        store.put_back(&entry).await.unwrap_err(),
        store.purge(&entry).await.unwrap_err(),
        store.put(&key, Bytes::from("abc").into()).await.unwrap_err(),
        store.get(&key, None).await.unwrap_err(),
        store.get(&key, Some(ByteRange::From(1))).await.unwrap_err(),
        store.head(&key).await.unwrap_err(),
        store.list().try_next().await.unwrap_err(),
        store.list_aside().try_next().await.unwrap_err(),
        store.ready().await.unwrap_err(),
    ] {
        let StoreError::Backend { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), format!("the folder `{}` is gone", path.display()));
    }
    assert!(!path.exists());
    std::fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(list(&store).await, [(key, 3)]);
}
