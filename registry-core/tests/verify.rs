//! What a verification finds.

mod common;

use futures_util::TryStreamExt as _;
use registry_core::{
    CrateStore, Registry, RegistryConfig,
    auth::{Caller, Principal},
    conformance::{
        fixture::publish_body,
        record_fixture::{alice, canonical, name, version},
        run,
    },
    memory::{MemoryCrateStore, MemoryIndex},
    registry::{Problem, VerifyError},
    store::{AsideReason, CrateBody, CrateKey, CrateUpkeep as _},
};

use common::{Damage, DamagedIndex};

fn registry(index: impl registry_core::Index, crates: &MemoryCrateStore) -> Registry {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    Registry::builder(config, index, crates.clone()).build()
}

/// Three crates of two versions each.
async fn published() -> (MemoryIndex, MemoryCrateStore) {
    let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
    let registry = registry(index.clone(), &crates);
    for name in ["one", "two", "three"] {
        for version in ["1.0.0", "1.1.0"] {
            let caller = Caller::from(Principal::from(alice()));
            let mut publish = registry.begin_publish(caller, None).await.unwrap();
            publish.write(&publish_body(name, version)).await.unwrap();
            publish.finish().await.unwrap();
        }
    }
    (index, crates)
}

async fn key(index: &MemoryIndex, name: &str, version: &str) -> CrateKey {
    let registry = registry(index.clone(), &MemoryCrateStore::new());
    let record = registry.record(&Caller::anonymous(), &canonical(name)).await.unwrap();
    let release = record.release(&self::version(version)).unwrap();
    let (version, checksum) = (release.version().clone(), release.line.checksum());
    CrateKey { name: self::name(name), version, checksum }
}

/// Takes a file away for good.
async fn remove(crates: &MemoryCrateStore, key: &CrateKey) {
    crates.set_aside(key, AsideReason::Unnamed).await.unwrap();
    let aside: Vec<_> = crates.list_aside().try_collect().await.unwrap();
    crates.purge(&aside[0]).await.unwrap();
}

#[test]
fn each_kind_of_damage_is_found_and_nothing_else() {
    run(async {
        let (index, crates) = published().await;
        assert_eq!(registry(index.clone(), &crates).verify().await.unwrap(), []);

        remove(&crates, &key(&index, "two", "1.0.0").await).await;
        let damaged = key(&index, "two", "1.1.0").await;
        crates.put(&damaged, CrateBody::from(bytes::Bytes::from("other"))).await.unwrap();
        let damaged = DamagedIndex::new(index, canonical("one"), Damage::Unreadable);

        let mut seen = Vec::new();
        let registry = registry(damaged, &crates);
        let report = |name: &_, problems: Vec<_>| seen.push((format!("{name}"), problems));
        registry.verify_with(report).await.unwrap();
        let unreadable = Problem::Unreadable {
            name: canonical("one"),
            reason: "index backend damaged failed: bad block".into(),
        };
        let two = name("two");
        let of_two = vec![
            Problem::MissingFile { name: two.clone(), version: version("1.0.0") },
            Problem::DamagedFile { name: two, version: version("1.1.0") },
        ];
        let expected = [("one", vec![unreadable]), ("three", vec![]), ("two", of_two)];
        assert_eq!(seen, expected.map(|(name, problems)| (name.to_owned(), problems)));
    });
}

#[test]
fn a_crate_without_a_record_of_its_own_is_found() {
    run(async {
        let (one, two) = (canonical("one"), canonical("two"));
        for (damage, problem) in [
            (Damage::Lost, Problem::NoRecord { name: one.clone() }),
            (Damage::Another(two), Problem::OtherCrate { name: one.clone(), found: name("two") }),
        ] {
            let (index, crates) = published().await;
            let damaged = DamagedIndex::new(index, one.clone(), damage);
            assert_eq!(registry(damaged, &crates).verify().await.unwrap(), [problem]);
        }
    });
}

#[test]
fn an_index_that_is_gone_is_no_damage_of_each_crate() {
    run(async {
        let registry = registry(DamagedIndex::gone(), &MemoryCrateStore::new());
        assert!(matches!(registry.verify().await, Err(VerifyError::Index(_))));
    });
}
