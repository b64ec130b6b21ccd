//! The promises of `CrateStore` and `CrateUpkeep`, kept in a container of Azure Blob Storage, or of
//! what this process takes for it.
#![cfg(feature = "azure")]

mod common;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateName, CrateStore,
    store::{AsideCrate, AsideReason, CrateBody, CrateKey, CrateUpkeep as _},
};
use registry_storage::{ObjectCrateStore, StorageOptions};

use crate::common::azure::Azure;

fn open(server: &Azure, prefix: &str) -> ObjectCrateStore {
    let options = StorageOptions::new()
        .with("account_name", "account")
        .with("access_key", "a2V5")
        .with("endpoint", server.endpoint())
        .with("allow_http", "true")
        .with("max_retries", "0");
    ObjectCrateStore::azure("crates", prefix, &options).unwrap()
}

registry_core::crate_store_conformance!(prefix, durable: async || {
    let server = Azure::start().await;
    async move || open(&server, "main/crates")
});

registry_core::crate_store_conformance!(container, durable: async || {
    let server = Azure::start().await;
    async move || open(&server, "")
});

registry_core::crate_upkeep_conformance!(upkeep, durable: async || {
    let server = Azure::start().await;
    async move || open(&server, "main/crates")
});

async fn read(crates: &ObjectCrateStore, key: &CrateKey) -> Bytes {
    crates.get(key, None).await.unwrap().unwrap().bytes().await.unwrap()
}

/// Copying is two steps there, and the second may be long in coming.
#[tokio::test]
async fn a_file_that_is_not_yet_copied_is_not_deleted() {
    let server = Azure::start().await;
    let crates = open(&server, "");
    let file = Bytes::from_static(b"the file");
    let checksum = Checksum::of(&file);
    let name = CrateName::new("foo").unwrap();
    let key = CrateKey { name, version: "1.0.0".parse().unwrap(), checksum };
    crates.put(&key, CrateBody::from(file.clone())).await.unwrap();
    let in_place = server.names();

    server.copy_later(true);
    crates.set_aside(&key, AsideReason::Unnamed).await.unwrap_err();
    assert!(server.names().contains(&in_place[0]));
    assert_eq!(read(&crates, &key).await, file);

    server.copy_later(false);
    crates.set_aside(&key, AsideReason::Unnamed).await.unwrap();
    assert!(!server.names().contains(&in_place[0]));
    assert_eq!(read(&crates, &key).await, file);

    let aside: Vec<AsideCrate> = crates.list_aside().try_collect().await.unwrap();
    let [begun, whole] = [0, 8].map(|size| aside.iter().find(|it| it.size == size).unwrap());
    // There is no file in it.
    crates.put_back(begun).await.unwrap();
    assert!(!server.names().contains(&in_place[0]));
    server.copy_later(true);
    crates.put_back(whole).await.unwrap_err();
    // Nor by who finds the copy that was begun.
    crates.put_back(whole).await.unwrap_err();
    let kept = crates.open_aside(whole).await.unwrap().unwrap();
    assert_eq!(kept.bytes().await.unwrap(), file);
}
