//! What a scrub finds, and what it mends.

mod common;

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use registry_core::{
    CanonicalName, Checksum, CrateRecord, CrateStore, ETag, Index, IndexError, IndexFile, Registry,
    RegistryConfig, StoreError,
    auth::{Caller, Principal},
    conformance::{
        faulty::{Fault, Faults, FaultyCrateStore},
        fixture::publish_body,
        record_fixture::{alice, canonical, name, version},
        run,
    },
    index::{Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    migrate::FileCount,
    record::Change,
    registry::{Inline, Problem, VerifyError},
    scrub::{AsideState, Finding, OrphanState, Remedy, Scrub, Scrubbed},
    store::{AsideCrate, AsideReason, CrateKey, CrateUpkeep as _, SpoolFolder},
};

use common::{Damage, DamagedIndex};

const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

/// A registry of some crates, and a second store that has the same files.
struct Scene {
    index: MemoryIndex,
    crates: MemoryCrateStore,
    copy: MemoryCrateStore,
}

impl Scene {
    async fn of(names: &[&str]) -> Self {
        let scene = Self {
            index: MemoryIndex::new(),
            crates: MemoryCrateStore::new(),
            copy: MemoryCrateStore::new(),
        };
        for name in names {
            for version in VERSIONS {
                publish(&scene.index, &scene.crates, name, version).await;
                publish(&MemoryIndex::new(), &scene.copy, name, version).await;
            }
        }
        scene
    }

    fn scrub(&self) -> Scrub {
        Scrub::new(self.crates.clone(), [Arc::new(self.index.clone()) as Arc<dyn Index>])
    }

    async fn key(&self, name: &str, version_text: &str) -> CrateKey {
        let stored = self.index.load(&canonical(name), None).await.unwrap().found().unwrap();
        let release = stored.record.release(&version(version_text)).unwrap();
        let (name, checksum) = (stored.record.name().clone(), release.line.checksum());
        CrateKey { name, version: release.version().clone(), checksum }
    }

    async fn bytes(&self, key: &CrateKey) -> Bytes {
        self.copy.get(key, None).await.unwrap().unwrap().bytes().await.unwrap()
    }

    /// Flips a bit of a stored file.
    async fn damage(&self, store: &MemoryCrateStore, key: &CrateKey) {
        let mut bytes = self.bytes(key).await.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        store.put(key, Bytes::from(bytes).into()).await.unwrap();
    }

    async fn aside(&self) -> Vec<AsideCrate> {
        self.crates.list_aside().try_collect().await.unwrap()
    }

    /// Takes a file away for good.
    async fn remove(&self, store: &MemoryCrateStore, key: &CrateKey) {
        store.set_aside(key, AsideReason::Unnamed).await.unwrap();
        let aside: Vec<_> = store.list_aside().try_collect().await.unwrap();
        let entry = aside.iter().find(|entry| entry.key == *key).unwrap();
        store.purge(entry).await.unwrap();
    }
}

async fn publish(index: &MemoryIndex, crates: &MemoryCrateStore, name: &str, version: &str) {
    let config = RegistryConfig::new("https://crates.example.com").unwrap();
    let registry = Registry::builder(config, index.clone(), crates.clone()).build();
    let mut publish =
        registry.begin_publish(Caller::from(Principal::from(alice())), None).await.unwrap();
    publish.write(&publish_body(name, version)).await.unwrap();
    publish.finish().await.unwrap();
}

/// The findings in the order of their texts, and the sums.
async fn found(scrub: &Scrub) -> (Vec<Finding>, Scrubbed) {
    let mut findings = Vec::new();
    let mut last = Scrubbed::default();
    let report = |so_far: &Scrubbed, finding: Option<&Finding>| {
        last = *so_far;
        findings.extend(finding.cloned());
    };
    let scrubbed = scrub.run(report).await.unwrap();
    assert_eq!((last.named, last.orphans), (scrubbed.named, scrubbed.orphans));
    findings.sort_by_key(|finding| finding.to_string());
    (findings, scrubbed)
}

/// The sums without those of lengths.
fn counts(scrubbed: &Scrubbed) -> [u64; 5] {
    let Scrubbed { named, orphans, aside, mended, wrong, .. } = scrubbed;
    [named.files, orphans.files, aside.files, *mended, *wrong]
}

fn broken(problem: Problem, remedies: &[Remedy]) -> Finding {
    Finding::Broken { problem, remedies: remedies.to_vec() }
}

fn damaged(key: &CrateKey) -> Problem {
    Problem::DamagedFile { name: key.name.clone(), version: key.version.clone() }
}

fn missing(key: &CrateKey) -> Problem {
    Problem::MissingFile { name: key.name.clone(), version: key.version.clone() }
}

fn quarantined(key: &CrateKey) -> Problem {
    Problem::QuarantinedFile { name: key.name.clone(), version: key.version.clone() }
}

#[test]
fn a_store_without_damage_is_well() {
    run(async {
        let scene = Scene::of(&["one", "two"]).await;
        let (findings, scrubbed) = found(&scene.scrub()).await;
        assert_eq!(findings, []);
        let files: Vec<_> = scene.crates.list().try_collect().await.unwrap();
        let bytes = files.iter().map(|file| file.size).sum();
        assert_eq!(scrubbed.named, FileCount { files: 4, bytes });
        assert_eq!(counts(&scrubbed), [4, 0, 0, 0, 0]);
        let nothing = Scrub::new(MemoryCrateStore::new(), []);
        assert_eq!(found(&nothing).await, (vec![], Scrubbed::default()));
    });
}

#[test]
fn each_kind_of_damage_is_found_and_nothing_is_changed() {
    run(async {
        let scene = Scene::of(&["aside", "bad", "fine", "gone"]).await;
        let [bad, aside, gone] = [
            scene.key("bad", "1.0.0").await,
            scene.key("aside", "1.1.0").await,
            scene.key("gone", "1.0.0").await,
        ];
        scene.damage(&scene.crates, &bad).await;
        scene.damage(&scene.crates, &aside).await;
        scene.crates.set_aside(&aside, AsideReason::Damaged).await.unwrap();
        scene.remove(&scene.crates, &gone).await;
        let (findings, scrubbed) = found(&scene.scrub()).await;
        let [entry] = scene.aside().await.try_into().unwrap();
        let expected = [
            Finding::Aside { entry, state: AsideState::Damaged, remedies: vec![] },
            broken(damaged(&bad), &[]),
            broken(missing(&gone), &[]),
            broken(quarantined(&aside), &[]),
        ];
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        assert!(expected.iter().all(|finding| findings.contains(finding)), "{findings:?}");
        assert_eq!(counts(&scrubbed), [8, 0, 1, 0, 3]);
        assert_eq!(found(&scene.scrub()).await, (findings, scrubbed));
    });
}

#[test]
fn a_file_of_another_length_is_damaged() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let key = scene.key("one", "1.0.0").await;
        let longer = [&scene.bytes(&key).await[..], b"!"].concat();
        scene.crates.put(&key, Bytes::from(longer).into()).await.unwrap();
        assert_eq!(found(&scene.scrub()).await.0, [broken(damaged(&key), &[])]);
    });
}

#[test]
fn files_that_no_line_names_are_told_and_are_not_wrong() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let other = Scene::of(&["one", "other"]).await;
        let (whole, bad) = (other.key("other", "1.0.0").await, other.key("other", "1.1.0").await);
        scene.crates.put(&whole, other.bytes(&whole).await.into()).await.unwrap();
        other.damage(&scene.crates, &bad).await;
        let scrub = scene.scrub().with_quarantine().with_repair_from(other.copy.clone());
        let (findings, scrubbed) = found(&scrub).await;
        let mut told: Vec<_> = findings
            .into_iter()
            .map(|finding| match finding {
                Finding::Orphan { file, state } => (file.key, file.size, state),
                other => panic!("{other:?}"),
            })
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let [whole_size, bad_size] =
            [other.bytes(&whole).await.len() as u64, other.bytes(&bad).await.len() as u64];
        let expected =
            [(whole, whole_size, OrphanState::Whole), (bad, bad_size, OrphanState::Damaged)];
        assert_eq!(told, expected);
        assert_eq!(counts(&scrubbed), [2, 2, 0, 0, 0]);
        assert_eq!(scrubbed.orphans.bytes, whole_size + bad_size);
        assert_eq!(scene.aside().await, []);
    });
}

#[test]
fn a_damaged_file_is_put_aside_and_the_rest_stays_readable() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let [bad, fine] = [scene.key("one", "1.0.0").await, scene.key("one", "1.1.0").await];
        scene.damage(&scene.crates, &bad).await;
        let (findings, scrubbed) = found(&scene.scrub().with_quarantine()).await;
        assert_eq!(findings, [broken(damaged(&bad), &[Remedy::PutAside])]);
        assert_eq!(counts(&scrubbed), [2, 0, 0, 0, 1]);
        match scene.crates.get(&bad, None).await {
            Err(StoreError::Quarantined { key }) => assert_eq!(*key, bad),
            other => panic!("{other:?}"),
        }
        let read = scene.crates.get(&fine, None).await.unwrap().unwrap().bytes().await.unwrap();
        assert_eq!(read, scene.bytes(&fine).await);
        let stored = scene.index.load(&canonical("one"), None).await.unwrap().found().unwrap();
        assert_eq!(stored.record.releases().len(), 2);
    });
}

#[test]
fn whatever_the_second_store_has_is_repaired() {
    run(async {
        let scene = Scene::of(&["one", "two"]).await;
        let [bad, aside, gone] = [
            scene.key("one", "1.0.0").await,
            scene.key("one", "1.1.0").await,
            scene.key("two", "1.0.0").await,
        ];
        scene.damage(&scene.crates, &bad).await;
        scene.damage(&scene.crates, &aside).await;
        scene.crates.set_aside(&aside, AsideReason::Damaged).await.unwrap();
        scene.remove(&scene.crates, &gone).await;
        let scrub = scene.scrub().with_quarantine().with_repair_from(scene.copy.clone());
        let (findings, scrubbed) = found(&scrub).await;
        for problem in [damaged(&bad), quarantined(&aside), missing(&gone)] {
            let repaired = broken(problem, &[Remedy::Repaired]);
            assert!(findings.contains(&repaired), "{repaired:?} in {findings:?}");
        }
        assert_eq!(counts(&scrubbed), [4, 0, 1, 3, 0]);
        for key in [&bad, &aside, &gone] {
            let read = scene.crates.get(key, None).await.unwrap().unwrap().bytes().await.unwrap();
            assert_eq!(read, scene.bytes(key).await);
        }
        // The damaged one that was aside tells for an hour that it may just be being moved.
        for (minutes, left) in [(59, 1), (61, 0)] {
            let later = SystemTime::now() + Duration::from_secs(60 * minutes);
            let (_, scrubbed) = found(&scene.scrub().with_quarantine().at(later)).await;
            assert_eq!(counts(&scrubbed), [4, 0, left, 0, 0], "{minutes}");
        }
        let (findings, scrubbed) = found(&scene.scrub()).await;
        assert_eq!((findings, counts(&scrubbed)), (vec![], [4, 0, 0, 0, 0]));
    });
}

#[test]
fn what_the_second_store_has_not_is_not_repaired() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let [bad, gone] = [scene.key("one", "1.0.0").await, scene.key("one", "1.1.0").await];
        scene.damage(&scene.crates, &bad).await;
        scene.damage(&scene.copy, &bad).await;
        scene.remove(&scene.crates, &gone).await;
        scene.remove(&scene.copy, &gone).await;
        let scrub = scene.scrub().with_repair_from(scene.copy.clone());
        let not = |reason: &str| Remedy::NotRepaired(reason.into());
        let too = not("it is damaged in the second store, too");
        let not_there = not("the second store does not have it");
        let (findings, scrubbed) = found(&scrub).await;
        let expected = [
            broken(damaged(&bad), std::slice::from_ref(&too)),
            broken(missing(&gone), std::slice::from_ref(&not_there)),
        ];
        assert_eq!((findings, counts(&scrubbed)), (expected.to_vec(), [2, 0, 0, 0, 2]));
        let (findings, _) = found(&scrub.with_quarantine()).await;
        let expected =
            [broken(damaged(&bad), &[too, Remedy::PutAside]), broken(missing(&gone), &[not_there])];
        assert_eq!(findings, expected);
        assert_eq!(
            findings[0].to_string(),
            "the file of crate `one` version `1.0.0` is damaged: not repaired: it is damaged in the \
             second store, too: put aside"
        );
    });
}

#[test]
fn what_is_aside_and_should_not_be_is_put_back() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let [whole, named] = [scene.key("one", "1.0.0").await, scene.key("one", "1.1.0").await];
        scene.crates.set_aside(&whole, AsideReason::Damaged).await.unwrap();
        scene.crates.set_aside(&named, AsideReason::Unnamed).await.unwrap();
        let entries = scene.aside().await;
        let expected = |remedies: &[Remedy]| {
            let states = [AsideState::Whole, AsideState::Named];
            let findings = entries.iter().zip(states).map(|(entry, state)| {
                let (entry, remedies) = (entry.clone(), remedies.to_vec());
                Finding::Aside { entry, state, remedies }
            });
            findings.collect::<Vec<_>>()
        };
        let (mut findings, scrubbed) = found(&scene.scrub()).await;
        findings.retain(|finding| matches!(finding, Finding::Aside { .. }));
        assert_eq!((findings, counts(&scrubbed)), (expected(&[]), [2, 0, 2, 0, 1]));
        let later = SystemTime::now() + Duration::from_secs(2 * 60 * 60);
        let (findings, scrubbed) = found(&scene.scrub().with_quarantine().at(later)).await;
        assert_eq!(findings, expected(&[Remedy::PutBack]));
        assert_eq!(counts(&scrubbed), [2, 0, 0, 0, 0]);
        let (findings, scrubbed) = found(&scene.scrub()).await;
        assert_eq!((findings, counts(&scrubbed)), (vec![], [2, 0, 0, 0, 0]));
    });
}

/// A bucket removes a file from its place when it gets to it.
#[test]
fn what_was_put_aside_a_moment_ago_outlasts_a_removal_that_comes_late() {
    run(async {
        for (reason, state) in
            [(AsideReason::Unnamed, AsideState::Named), (AsideReason::Damaged, AsideState::Whole)]
        {
            let scene = Scene::of(&["one"]).await;
            let key = scene.key("one", "1.0.0").await;
            scene.crates.set_aside(&key, reason).await.unwrap();
            let [entry] = scene.aside().await.try_into().unwrap();
            let (findings, scrubbed) = found(&scene.scrub().with_quarantine()).await;
            let remedies = vec![Remedy::PutBack];
            assert_eq!(findings, [Finding::Aside { entry: entry.clone(), state, remedies }]);
            assert_eq!(counts(&scrubbed), [2, 0, 1, 0, 0]);
            let placed: Vec<_> = scene.crates.list().try_collect().await.unwrap();
            assert!(placed.iter().any(|stored| stored.key == key), "{reason:?}");
            assert_eq!(scene.aside().await, [entry]);
        }
    });
}

#[test]
fn large_files_come_back_by_the_spool() {
    run(async {
        let (folder, crates) = (tempfile::tempdir().unwrap(), MemoryCrateStore::new());
        let spool = SpoolFolder::open(folder.path().join("spool")).unwrap();
        let scrub = Scrub::new(crates.clone(), []).with_quarantine();
        let scrub = scrub.with_spool(spool.clone(), Inline);
        std::fs::remove_dir(spool.path()).unwrap();
        std::fs::write(spool.path(), "in the way").unwrap();
        for (size, is_back) in [(1 << 20, true), ((1 << 20) + 1, false)] {
            let content = Bytes::from(vec![b'x'; size]);
            let key = CrateKey {
                name: name("large"),
                version: version("1.0.0"),
                checksum: Checksum::of(&content),
            };
            crates.put(&key, content.into()).await.unwrap();
            crates.set_aside(&key, AsideReason::Damaged).await.unwrap();
            let (findings, _) = found(&scrub).await;
            let of_key = |finding: &&Finding| match finding {
                Finding::Aside { entry, .. } => entry.key == key,
                _ => false,
            };
            match findings.iter().find(of_key).unwrap() {
                Finding::Aside { remedies, .. } if is_back => {
                    assert_eq!(remedies[..], [Remedy::PutBack]);
                }
                Finding::Aside { remedies, .. } => match &remedies[..] {
                    [Remedy::NotMoved(why)] => assert!(why.starts_with("crate store spool failed")),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    });
}

/// A collection and a publish may have put aside both of them, one after the other.
#[test]
fn a_damaged_file_is_not_put_back_before_a_whole_one() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let key = scene.key("one", "1.0.0").await;
        scene.damage(&scene.crates, &key).await;
        scene.crates.set_aside(&key, AsideReason::Unnamed).await.unwrap();
        scene.crates.put(&key, scene.bytes(&key).await.into()).await.unwrap();
        scene.crates.set_aside(&key, AsideReason::Unnamed).await.unwrap();
        let later = SystemTime::now() + Duration::from_secs(2 * 60 * 60);
        for _ in 0..2 {
            found(&scene.scrub().with_quarantine().at(later)).await;
            let read = scene.crates.get(&key, None).await.unwrap().unwrap().bytes().await;
            assert_eq!(read.unwrap(), scene.bytes(&key).await);
        }
        assert_eq!(scene.aside().await, []);
    });
}

#[test]
fn a_file_is_an_orphan_only_if_no_index_names_it() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let other = MemoryIndex::new();
        publish(&other, &scene.crates, "one", "1.0.0").await;
        publish(&other, &scene.crates, "two", "1.0.0").await;
        let (_, scrubbed) = found(&scene.scrub()).await;
        assert_eq!(counts(&scrubbed), [2, 1, 0, 0, 0]);
        let indexes = [scene.index.clone(), other].map(|index| Arc::new(index) as Arc<dyn Index>);
        let (findings, scrubbed) = found(&Scrub::new(scene.crates.clone(), indexes)).await;
        assert_eq!((findings, counts(&scrubbed)), (vec![], [3, 0, 0, 0, 0]));
    });
}

#[test]
fn a_file_that_is_published_meanwhile_is_no_orphan() {
    run(async {
        let scene = Scene::of(&["one"]).await;
        let index = Arc::new(NamesNothing(scene.index.clone())) as Arc<dyn Index>;
        let scrub = Scrub::new(scene.crates.clone(), [index]);
        let (findings, scrubbed) = found(&scrub).await;
        assert_eq!((findings, counts(&scrubbed)), (vec![], [2, 0, 0, 0, 0]));
        let key = scene.key("one", "1.0.0").await;
        scene.damage(&scene.crates, &key).await;
        assert_eq!(found(&scrub).await.0, [broken(damaged(&key), &[])]);
    });
}

#[test]
fn a_crate_without_a_record_of_its_own_is_told() {
    run(async {
        let (one, two) = (canonical("one"), canonical("two"));
        let unreadable = Problem::Unreadable {
            name: one.clone(),
            reason: "index backend damaged failed: bad block".into(),
        };
        let another = Problem::OtherCrate { name: one.clone(), found: name("two") };
        for (damage, problem, orphans) in [
            // It may name them.
            (Damage::Unreadable, unreadable, 0),
            (Damage::Another(two), another, 0),
            (Damage::Lost, Problem::NoRecord { name: one.clone() }, 2),
        ] {
            let scene = Scene::of(&["one", "two"]).await;
            let index = DamagedIndex::new(scene.index.clone(), one.clone(), damage);
            let scrub = Scrub::new(scene.crates.clone(), [Arc::new(index) as Arc<dyn Index>]);
            let (mut findings, scrubbed) = found(&scrub).await;
            findings.retain(|finding| matches!(finding, Finding::Broken { .. }));
            assert_eq!(findings, [broken(problem, &[])]);
            assert_eq!(counts(&scrubbed), [2, orphans, 0, 0, 1]);
        }
    });
}

#[test]
fn a_backend_that_is_gone_is_no_damage_of_each_file() {
    run(async {
        let index = Arc::new(DamagedIndex::gone()) as Arc<dyn Index>;
        let outcome = Scrub::new(MemoryCrateStore::new(), [index]).run(|_, _| {}).await;
        assert!(matches!(outcome, Err(VerifyError::Index(_))));
        let scene = Scene::of(&["one"]).await;
        let faults = Faults::none();
        let crates = FaultyCrateStore::new(scene.crates.clone(), faults.clone());
        faults.arm(0, Fault::Before);
        let outcome = Scrub::new(crates, [Arc::new(scene.index.clone()) as Arc<dyn Index>]);
        assert!(matches!(outcome.run(|_, _| {}).await, Err(VerifyError::Store(_))));
    });
}

/// An index whose crates all come after its names were asked for.
#[derive(Debug)]
struct NamesNothing(MemoryIndex);

#[async_trait]
impl Index for NamesNothing {
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
        self.0.commit(expected, change, next).await
    }

    async fn names(
        &self,
        _: Option<&CanonicalName>,
        _: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        Ok(Vec::new())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}
