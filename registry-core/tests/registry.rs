//! What the service itself promises, over memory backends. Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use registry_core::{
    CanonicalName, CrateName, CrateRecord, Index, Login, Owner, Owners, Registry, RegistryConfig,
    Release,
    auth::{Action, AuthError, Authorizer, Caller, Claim, Mutation, Principal, RequestId},
    conformance::{
        faulty::{Fault, Faults, FaultyIndex},
        fixture::publish_body,
    },
    index::{ETag, IndexError, IndexFile, Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    observer::{Event, Observer},
    policy::{PublishPolicy, Rejection, Warning},
    record::{Change, Origin, Refusal, ReleaseState, Stamp, Timestamp},
    registry::{PublishError, Published, ReadError, WriteError},
    search::{FoundCrate, Search, SearchPage, SearchQuery},
    store::CrateStore,
};
use semver::Version;

fn config() -> RegistryConfig {
    RegistryConfig::new("https://crates.example.com").unwrap()
}

fn user(login: &str) -> Owner {
    Owner { id: 1, login: Login::new(login).unwrap(), name: None }
}

fn caller(login: &str) -> Caller {
    Caller::from(Principal::from(user(login)))
}

fn foo() -> (CrateName, CanonicalName, Version) {
    let name = CrateName::new("foo").unwrap();
    (name.clone(), name.canonical(), Version::new(1, 0, 0))
}

async fn publish(
    registry: &Registry,
    caller: Caller,
    body: &[u8],
) -> Result<Published, PublishError> {
    let mut publish = registry.begin_publish(caller, None).await?;
    publish.write(body).await?;
    publish.finish().await
}

#[tokio::test]
async fn a_publish_whose_answer_from_the_index_is_lost_is_a_success() {
    let faults = Faults::none();
    let index = FaultyIndex::new(MemoryIndex::new(), faults.clone());
    let registry = Registry::builder(config(), index, MemoryCrateStore::new()).build();
    // The calls of a publish: two loads, then the commit.
    faults.arm(2, Fault::After);
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    assert!(faults.struck());
    assert_eq!(registry.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_publish_that_was_refused_is_refused_to_its_end() {
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new()).build();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    let mut by_bob = registry.begin_publish(caller("bob"), None).await.unwrap();
    by_bob.write(&publish_body("foo", "1.1.0")).await.unwrap_err();
    let error = by_bob.finish().await.unwrap_err();
    assert!(matches!(error, PublishError::Write(WriteError::Auth(AuthError::Forbidden { .. }))));
}

/// Removes the owner who is publishing, after their right was checked for the first time.
#[derive(Debug)]
struct RemoveOwner(MemoryIndex);

#[async_trait]
impl PublishPolicy for RemoveOwner {
    async fn review(
        &self,
        release: &Release,
        _: Option<&CrateRecord>,
    ) -> Result<Vec<Warning>, Rejection> {
        let stored = self.0.load(&release.entry().name.canonical(), None).await.unwrap().found();
        let Some(stored) = stored else {
            return Ok(vec![]);
        };
        let alice = user("alice").login;
        let stamp = Stamp { by: alice.clone(), at: Timestamp(0), origin: Origin::default() };
        let bob = user("bob");
        let (record, change) = stored.record.add_owners(&[bob], stamp.clone()).unwrap().unwrap();
        let revision = self.0.commit(Some(&stored.revision), &change, &record).await.unwrap();
        let (record, change) = record.remove_owners(&[alice], stamp).unwrap().unwrap();
        self.0.commit(Some(&revision), &change, &record).await.unwrap();
        Ok(vec![])
    }
}

#[tokio::test]
async fn an_owner_removed_while_publishing_does_not_publish() {
    let index = MemoryIndex::new();
    let registry = Registry::builder(config(), index.clone(), MemoryCrateStore::new())
        .policy(RemoveOwner(index))
        .build();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    let refused = publish(&registry, caller("alice"), &publish_body("foo", "1.1.0")).await;
    let Err(PublishError::Write(WriteError::Auth(AuthError::Forbidden { .. }))) = refused else {
        panic!("{refused:?}");
    };
    let record = registry.record(&Caller::anonymous(), &foo().1).await.unwrap();
    assert_eq!(record.releases().len(), 1);
}

#[derive(Debug)]
struct Judge;

#[async_trait]
impl PublishPolicy for Judge {
    async fn review(
        &self,
        release: &Release,
        current: Option<&CrateRecord>,
    ) -> Result<Vec<Warning>, Rejection> {
        match current {
            None => Ok(vec![Warning(format!("`{}` is new here", release.entry().name))]),
            Some(_) => Err(Rejection::new("one version is enough")),
        }
    }
}

#[tokio::test]
async fn a_policy_warns_and_rejects_and_a_rejected_file_is_not_stored() {
    let crates = MemoryCrateStore::new();
    let registry =
        Registry::builder(config(), MemoryIndex::new(), crates.clone()).policy(Judge).build();
    let published = publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await;
    assert_eq!(published.unwrap().warnings, [Warning("`foo` is new here".into())]);
    let rejected = publish(&registry, caller("alice"), &publish_body("foo", "2.0.0")).await;
    assert_eq!(rejected.unwrap_err().to_string(), "one version is enough");
    assert_eq!(crates.list().count().await, 1);
}

/// An index in which a release is yanked right behind the first look at its record.
#[derive(Debug)]
struct YankedBetweenLooks(MemoryIndex, AtomicBool);

#[async_trait]
impl Index for YankedBetweenLooks {
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
        let found = self.0.load(name, known).await?;
        if let (Lookup::Found(stored), false) = (&found, self.1.swap(true, Ordering::Relaxed)) {
            let stamp =
                Stamp { by: user("bob").login, at: Timestamp(0), origin: Origin::default() };
            let yanked = stored.record.set_yanked(&foo().2, true, stamp).unwrap();
            let (record, change) = yanked.unwrap();
            self.0.commit(Some(&stored.revision), &change, &record).await?;
        }
        Ok(found)
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
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.0.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.0.ready().await
    }
}

#[tokio::test]
async fn a_verification_takes_no_writer_for_damage() {
    let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
    let registry = Registry::builder(config(), index.clone(), crates.clone()).build();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    let busy = YankedBetweenLooks(index, AtomicBool::new(false));
    let busy = Registry::builder(config(), busy, crates).build();
    assert_eq!(busy.verify().await.unwrap(), []);
    let record = registry.record(&Caller::anonymous(), &foo().1).await.unwrap();
    assert_eq!(record.releases()[0].state, ReleaseState::Yanked);
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn observe(&self, event: &Event<'_>) {
        let Event::Committed(change) = event else { return };
        let request = change.stamp.origin.request.as_deref().unwrap_or("none");
        self.0.lock().unwrap().push(format!("{} {} {request}", change.name, change.stamp.by));
    }
}

#[tokio::test]
async fn observers_hear_of_every_change_once_and_of_nothing_else() {
    let log = Log::default();
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new())
        .observer(log.clone())
        .build();
    let (_, name, version) = foo();
    let alice = Caller { request: RequestId::new("r1"), ..caller("alice") };
    publish(&registry, alice, &publish_body("foo", "1.0.0")).await.unwrap();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap_err();
    for _ in 0..2 {
        registry.set_yanked(&caller("alice"), &name, &version, true).await.unwrap();
    }
    registry.set_yanked(&caller("bob"), &name, &version, false).await.unwrap_err();
    assert_eq!(*log.0.lock().unwrap(), ["foo alice r1", "foo alice none"]);
}

#[tokio::test]
async fn a_private_registry_answers_nobody_without_a_credential() {
    let registry = Registry::builder(
        config().with_auth_required(true),
        MemoryIndex::new(),
        MemoryCrateStore::new(),
    )
    .build();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    let (name, canonical, version) = foo();
    let (nobody, bob) = (Caller::anonymous(), caller("bob"));
    let missing = |error: ReadError| matches!(error, ReadError::Auth(AuthError::Missing));
    assert!(missing(registry.config_json(&nobody).await.unwrap_err()));
    assert!(missing(registry.index_file(&nobody, &name, None).await.unwrap_err()));
    assert!(missing(registry.crate_key(&nobody, &canonical, &version).await.unwrap_err()));
    assert!(missing(registry.owners(&nobody, &canonical).await.unwrap_err()));
    let key = registry.crate_key(&bob, &canonical, &version).await.unwrap();
    assert!(missing(registry.download(&nobody, &key).await.unwrap_err()));
    assert!(registry.download(&bob, &key).await.unwrap().open(None).await.is_ok());
}

/// Only alice sees anything.
#[derive(Debug)]
struct OnlyAlice;

#[async_trait]
impl Authorizer for OnlyAlice {
    async fn authorize(
        &self,
        caller: &Caller,
        _: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        match &caller.principal {
            Some(principal) if principal.user.login.as_str() == "alice" => Ok(()),
            _ => Err(AuthError::Forbidden { reason: "a secret".into() }),
        }
    }

    fn hides_crates(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_crate_that_may_not_be_seen_is_a_crate_that_does_not_exist() {
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new())
        .authorizer(OnlyAlice)
        .build();
    publish(&registry, caller("alice"), &publish_body("foo", "1.0.0")).await.unwrap();
    let (foo, canonical, version) = foo();
    let (absent, alice) = (CrateName::new("absent").unwrap(), caller("alice"));
    let key = registry.crate_key(&alice, &canonical, &version).await.unwrap();
    assert!(matches!(registry.index_file(&alice, &foo, None).await, Ok(Lookup::Found(_))));
    for stranger in [Caller::anonymous(), caller("bob")] {
        for name in [&foo, &absent] {
            let seen = registry.index_file(&stranger, name, None).await.unwrap();
            assert_eq!(seen, Lookup::Absent);
            let error = registry.owners(&stranger, &name.canonical()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("crate `{name}` does not exist"));
        }
        let error = registry.download(&stranger, &key).await.unwrap().open(None).await.unwrap_err();
        assert_eq!(error.to_string(), "crate `foo` does not have a version `1.0.0`");
    }
    for name in [&foo, &absent] {
        let yanked = registry.set_yanked(&caller("bob"), &name.canonical(), &version, true).await;
        assert_eq!(yanked.unwrap_err().to_string(), format!("crate `{name}` does not exist"));
    }
}

/// Finds more than anybody can look through.
#[derive(Clone, Debug, Default)]
struct Endless(Arc<AtomicUsize>);

#[async_trait]
impl Search for Endless {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, IndexError> {
        self.0.fetch_add(1, SeqCst);
        let numbers = query.offset()..query.offset() + query.limit().get();
        let found = numbers.map(|number| FoundCrate {
            name: CrateName::new(&format!("c{number}")).unwrap(),
            max_version: Version::new(1, 0, 0),
            description: None,
        });
        Ok(SearchPage { crates: found.collect(), total: SearchPage::MAX_TOTAL })
    }
}

/// Crates whose names end in 7 are there for all, and no others.
#[derive(Debug)]
struct Sevens;

#[async_trait]
impl Authorizer for Sevens {
    async fn authorize(
        &self,
        _: &Caller,
        action: &Action<'_>,
        _: &Owners,
    ) -> Result<(), AuthError> {
        match action.crate_name() {
            Some(name) if !name.as_str().ends_with('7') => {
                Err(AuthError::Forbidden { reason: "a secret".into() })
            }
            _ => Ok(()),
        }
    }

    fn hides_crates(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_search_where_some_is_hidden_comes_to_an_end() {
    let search = Endless::default();
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new())
        .search(search.clone())
        .authorizer(Sevens)
        .build();
    let page = async |offset| {
        let query = SearchQuery::new("c", offset, NonZeroUsize::new(2).unwrap()).unwrap();
        let page = registry.search(&Caller::anonymous(), &query).await.unwrap();
        let names: Vec<_> = page.crates.iter().map(|found| found.name.to_string()).collect();
        (names.join(" "), page.total, search.0.swap(0, SeqCst))
    };
    assert_eq!(page(0).await, ("c7 c17".into(), 500, 50));
    assert_eq!(page(499).await, ("c4997".into(), 500, 50));
    assert_eq!(page(500).await, (String::new(), 500, 50));
}

#[tokio::test]
async fn an_index_file_is_served_under_one_spelling_only() {
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new()).build();
    publish(&registry, caller("alice"), &publish_body("Foo-bar", "1.0.0")).await.unwrap();
    let nobody = Caller::anonymous();
    for (path, served) in [("fo/o-/foo-bar", true), ("fo/o_/foo_bar", false)] {
        let name = CrateName::from_sparse_path(path).unwrap();
        let found = registry.index_file(&nobody, &name, None).await.unwrap();
        assert_eq!(matches!(found, Lookup::Found(_)), served, "{path}");
    }
}

#[tokio::test]
async fn a_token_made_for_one_publish_makes_no_other() {
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new()).build();
    let claim = |checksum| Claim {
        mutation: Mutation::Publish,
        name: foo().1,
        version: Some(foo().2),
        checksum: Some(checksum),
        once: None,
    };
    let body = publish_body("foo", "1.0.0");
    let metadata = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
    let checksum = registry_core::Checksum::of(&body[4 + metadata + 4..]);
    let with =
        |checksum| Caller::from(Principal { claim: Some(claim(checksum)), ..user("alice").into() });
    for (body, checksum) in [
        (&body, registry_core::Checksum::of("other bytes")),
        (&publish_body("foo", "1.0.1"), checksum),
        (&publish_body("bar", "1.0.0"), checksum),
    ] {
        let error = publish(&registry, with(checksum), body).await.unwrap_err();
        assert_eq!(error.to_string(), "this token was made for another action");
    }
    publish(&registry, with(checksum), &body).await.unwrap();
}

#[tokio::test]
async fn whoever_may_not_publish_is_told_before_the_file_is_read() {
    let registry = Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new()).build();
    let body = publish_body("foo", "1.0.0");
    let metadata = 4 + u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
    publish(&registry, caller("alice"), &body).await.unwrap();

    let mut by_bob = registry.begin_publish(caller("bob"), None).await.unwrap();
    let error = by_bob.write(&body[..metadata]).await.unwrap_err();
    assert!(matches!(error, PublishError::Write(WriteError::Auth(AuthError::Forbidden { .. }))));

    let mut again = registry.begin_publish(caller("alice"), None).await.unwrap();
    let error = again.write(&body[..metadata]).await.unwrap_err();
    let taken = Refusal::VersionTaken { version: foo().2 };
    let PublishError::Write(WriteError::Refused(refusal)) = error else { panic!("{error:?}") };
    assert_eq!(refusal, taken);
}
