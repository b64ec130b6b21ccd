//! The promises of [`TrustedPublisherStore`]; see
//! [`trusted_publishers_conformance!`](crate::trusted_publishers_conformance).
#![expect(missing_docs, reason = "the names are the promises")]

use std::{collections::BTreeSet, slice, sync::Arc};

use tokio::task::JoinSet;

use super::{Bench, record_fixture::login};
use crate::{
    auth::trusted::{TrustedPublisher, TrustedPublisherRecord, TrustedPublisherStore},
    name::CanonicalName,
    record::Timestamp,
};

/// Proves a [`TrustedPublisherStore`], one `#[test]` per promise, in a module of the name given.
///
/// ```
/// use registry_core::memory::MemoryTrustedPublishers;
///
/// registry_core::trusted_publishers_conformance!(
///     memory, volatile: async || MemoryTrustedPublishers::new()
/// );
/// ```
///
/// See [`conformance`](crate::conformance) for `durable` stores.
#[macro_export]
macro_rules! trusted_publishers_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, trusted_publishers;
            any:
                a_publisher_of_each_kind_is_kept_as_it_is
                a_publisher_is_one_of_its_crate
                a_publisher_that_is_there_stays_as_it_is
                a_publisher_is_found_by_its_source
                a_publisher_that_is_removed_is_gone
                concurrent_additions_of_one_publisher_are_one;
            durable:
                every_publisher_is_there_after_a_restart;
            absent:;
        }
    };
}

/// The store as the tests use it.
pub fn share(store: impl TrustedPublisherStore) -> Arc<dyn TrustedPublisherStore> {
    Arc::new(store)
}

/// One of each kind, and some that differ in little.
fn publishers() -> Vec<TrustedPublisher> {
    let github = |repository: &str, environment: Option<&str>| TrustedPublisher::GitHub {
        issuer: TrustedPublisher::GITHUB.into(),
        repository_owner: "Octo-Org".into(),
        repository_owner_id: u64::MAX,
        repository: repository.into(),
        workflow: "publish.yml".into(),
        environment: environment.map(Into::into),
    };
    let generic = |value: &str| TrustedPublisher::Generic {
        issuer: "https://id.example.com/realm".into(),
        claims: [("sub".into(), value.into()), ("näme".into(), "\"\\' 🦀".into())].into(),
    };
    vec![
        github("repo", None),
        github("repo", Some("Release")),
        github("other", None),
        TrustedPublisher::GitLab {
            issuer: TrustedPublisher::GITLAB.into(),
            namespace: "group/sub".into(),
            namespace_id: 72,
            project: "project".into(),
            workflow: ".gitlab-ci.yml".into(),
            environment: None,
        },
        TrustedPublisher::Forgejo {
            issuer: "https://forge.example.com/api/actions".into(),
            repository_owner: "octo-org".into(),
            repository_owner_id: Some(u64::MAX),
            repository: "repo".into(),
            workflow: ".forgejo/workflows/publish.yml".into(),
        },
        TrustedPublisher::Buildkite {
            issuer: TrustedPublisher::BUILDKITE.into(),
            organization: "acme".into(),
            organization_id: Some("0184990a-477b-4fa8-9968-496074483cee".into()),
            pipeline: "app".into(),
        },
        generic("a"),
        generic("b"),
    ]
}

fn name(text: &str) -> CanonicalName {
    CanonicalName::new(text).expect("the name is one")
}

type Store = dyn TrustedPublisherStore;

async fn add(store: &Store, crate_name: &str, it: &TrustedPublisher) -> TrustedPublisherRecord {
    store.add(&name(crate_name), it, Timestamp(7), &login("alice")).await.unwrap()
}

async fn list(store: &Store, crate_name: &str) -> Vec<TrustedPublisherRecord> {
    store.list(Some(&name(crate_name))).await.unwrap()
}

pub async fn a_publisher_of_each_kind_is_kept_as_it_is(bench: Bench<Store>) {
    let store = bench.open().await;
    let mut added = Vec::new();
    for publisher in publishers() {
        let record = add(&*store, "hello", &publisher).await;
        let expected = TrustedPublisherRecord {
            id: record.id,
            name: name("hello"),
            publisher,
            created_at: Timestamp(7),
            created_by: login("alice"),
        };
        assert_eq!(record, expected);
        assert_eq!(store.get(record.id).await.unwrap(), Some(expected));
        added.push(record);
    }
    assert!(added.is_sorted_by(|one, next| one.id < next.id && next.id < 1 << 53));
    assert_eq!(list(&*store, "hello").await, added);
    assert_eq!(store.list(None).await.unwrap(), added);
}

pub async fn a_publisher_is_one_of_its_crate(bench: Bench<Store>) {
    let store = bench.open().await;
    let publisher = &publishers()[0];
    let (one, other) =
        (add(&*store, "hello", publisher).await, add(&*store, "hello_2", publisher).await);
    assert_ne!(one.id, other.id);
    assert_eq!(list(&*store, "hello").await, slice::from_ref(&one));
    assert_eq!(list(&*store, "hello_2").await, slice::from_ref(&other));
    assert_eq!(list(&*store, "hello_3").await, []);
    assert_eq!(store.find(&[publisher.source()]).await.unwrap(), [one, other]);
}

pub async fn a_publisher_that_is_there_stays_as_it_is(bench: Bench<Store>) {
    let store = bench.open().await;
    let publisher = &publishers()[0];
    let first = add(&*store, "hello", publisher).await;
    let again = store.add(&name("hello"), publisher, Timestamp(9), &login("bob")).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(list(&*store, "hello").await, [first]);
}

pub async fn a_publisher_is_found_by_its_source(bench: Bench<Store>) {
    let store = bench.open().await;
    let mut added = Vec::new();
    for publisher in publishers() {
        added.push(add(&*store, "hello", &publisher).await);
    }
    let find = async |sources: &[String]| store.find(sources).await.unwrap();
    for publisher in publishers() {
        let source = publisher.source();
        let expected: Vec<_> =
            added.iter().filter(|it| it.publisher.source() == source).cloned().collect();
        assert_eq!(find(&[source]).await, expected);
    }
    let sources: Vec<String> = added.iter().map(|it| it.publisher.source()).collect();
    assert_eq!(find(&sources).await, added);
    assert_eq!(find(&[]).await, []);
    assert_eq!(find(&[sources[0].to_uppercase(), String::new(), "%".into()]).await, []);
}

pub async fn a_publisher_that_is_removed_is_gone(bench: Bench<Store>) {
    let store = bench.open().await;
    let (one, other) = (&publishers()[0], &publishers()[1]);
    let (one, other) = (add(&*store, "hello", one).await, add(&*store, "hello", other).await);
    assert_eq!(store.remove(one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(store.remove(one.id).await.unwrap(), None);
    assert_eq!(store.get(one.id).await.unwrap(), None);
    assert_eq!(store.remove(u64::MAX).await.unwrap(), None);
    assert_eq!(list(&*store, "hello").await, slice::from_ref(&other));
    // What was said of the number that is gone is not said of another.
    let again = add(&*store, "hello", &one.publisher).await;
    assert!(again.id > other.id);
}

pub async fn concurrent_additions_of_one_publisher_are_one(bench: Bench<Store>) {
    let store = bench.open().await;
    let mut additions = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        additions.spawn(async move { add(&*store, "hello", &publishers()[0]).await.id });
    }
    let ids: BTreeSet<u64> = additions.join_all().await.into_iter().collect();
    assert_eq!((ids.len(), list(&*store, "hello").await.len()), (1, 1));
}

pub async fn every_publisher_is_there_after_a_restart(bench: Bench<Store>) {
    let store = bench.open().await;
    let (one, other) = (&publishers()[0], &publishers()[1]);
    let (one, other) = (add(&*store, "hello", one).await, add(&*store, "hello", other).await);
    store.remove(other.id).await.unwrap();
    drop(store);
    let store = bench.open().await;
    assert_eq!(list(&*store, "hello").await, [one]);
    assert!(add(&*store, "hello", &other.publisher).await.id > other.id);
}
