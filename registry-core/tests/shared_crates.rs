//! Registries over one crate store. Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use registry_core::{
    Checksum, CrateName, Login, Owner, Registry, RegistryConfig,
    auth::{AllowAll, Caller, Principal},
    conformance::fixture::{crate_file, publish_body, publish_body_of},
    memory::{MemoryCrateStore, MemoryIndex},
    registry::ReadError,
    store::CrateKey,
};
use semver::Version;

fn alice() -> Caller {
    Caller::from(Principal::from(Owner { id: 1, login: Login::new("alice").unwrap(), name: None }))
}

fn registry(crates: &MemoryCrateStore) -> Registry {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let builder = Registry::builder(config, MemoryIndex::new(), crates.clone());
    builder.authorizer(AllowAll).shares_crates().build()
}

async fn publish(registry: &Registry, body: &[u8]) {
    let mut publish = registry.begin_publish(alice(), None).await.unwrap();
    publish.write(body).await.unwrap();
    publish.finish().await.unwrap();
}

async fn download(registry: &Registry, key: &CrateKey) -> Result<Vec<u8>, ReadError> {
    let file = registry.download(&Caller::anonymous(), key).await?.open(None).await?;
    Ok(file.bytes().await?.to_vec())
}

#[tokio::test]
async fn the_file_of_another_registry_is_none_of_this_one() {
    let crates = MemoryCrateStore::new();
    let (one, other) = (registry(&crates), registry(&crates));
    publish(&other, &publish_body("foo", "1.0.0")).await;
    let file = crate_file("foo", "1.0.0", "");
    let checksum = Checksum::of(&file);
    let name = CrateName::new("foo").unwrap();
    let key = CrateKey { name, version: Version::new(1, 0, 0), checksum };
    assert_eq!(download(&other, &key).await.unwrap(), file);
    let refused = |result: Result<_, _>| matches!(result, Err(ReadError::UnknownVersion { .. }));
    assert!(refused(download(&one, &key).await));

    // Nor if a line here has the checksum in it, as something else.
    let metadata =
        format!(r#"{{"name":"foo","vers":"1.0.0","deps":[],"features":{{"{checksum}":[]}}}}"#);
    let mine = crate_file("foo", "1.0.0", &format!("[features]\n{checksum} = []\n"));
    publish(&one, &publish_body_of(metadata.as_bytes(), &mine)).await;
    assert!(refused(download(&one, &key).await));
    let key_of_mine = CrateKey { checksum: Checksum::of(&mine), ..key.clone() };
    assert_eq!(download(&one, &key_of_mine).await.unwrap(), mine);

    // Of a file that both have, each hands out its own.
    publish(&one, &publish_body("bar", "1.0.0")).await;
    publish(&other, &publish_body("bar", "1.0.0")).await;
    let checksum = Checksum::of(crate_file("bar", "1.0.0", ""));
    let key = CrateKey { name: CrateName::new("bar").unwrap(), checksum, ..key };
    assert_eq!(download(&one, &key).await.unwrap(), download(&other, &key).await.unwrap());
}
